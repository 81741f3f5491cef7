"""What a shared library or an object does when it is loaded, read from its bytes before anything loads them.

A library that was approved must bring nothing with it: no other library than the C library's own two, no code that
runs before a kernel is called, no symbol that stands in for somebody else's.  So the form is read that ld.so reads
(segments and the dynamic table, by address), everything in it must be on a list, and what is not known is refused.
What a kernel does once it is called is not looked at: that is what an approval is for.

Source: System V ABI, chapters 4 and 5; the GNU extensions as glibc's elf/elf.h and dl-lookup.c have them.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from graphopt_kernels.c_library import ALLOWED_UNDEFINED
from graphopt_kernels.errors import LoadError

_SYMBOLS = "graphopt_"
_MARKERS = frozenset(("_edata", "_end", "__bss_start", "_GLOBAL_OFFSET_TABLE_"))
"""Addresses that older linkers export, or that a linker gives."""
_NEEDED = frozenset(("libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"))
_SONAME = "kernels.so"

_LONGEST_NAME = 1024
_MOST_HEADERS, _MOST_ENTRIES, _MOST_SYMBOLS, _MOST_RELOCATIONS = 64, 256, 1 << 16, 1 << 18
_TYPE_OBJECT, _TYPE_LIBRARY = 1, 3
_LOAD, _DYNAMIC, _STACK = 1, 2, 0x6474E551
_SEGMENTS = frozenset((0, _LOAD, _DYNAMIC, 4, 6, 0x6474E550, _STACK, 0x6474E552, 0x6474E553))
"""Beside these: notes, the program headers, the unwinder's table, what becomes read-only, processor properties."""
_EXECUTE, _WRITE = 1, 2

_MACHINES = {"x86_64": 62, "aarch64": 183}
_RELOCATIONS = {"x86_64": frozenset((0, 1, 6, 7, 8)), "aarch64": frozenset((0, 257, 1025, 1026, 1027))}
"""Addresses of symbols and of the library itself; not those that call a function for the address (IFUNC), nor TLS."""

_NULL, _TAG_NEEDED, _TAG_SONAME, _STRTAB, _SYMTAB, _STRSZ, _SYMENT = 0, 1, 14, 5, 6, 10, 11
_RELA, _RELASZ, _RELAENT, _PLTRELSZ, _PLTREL, _JMPREL, _FLAGS = 7, 8, 9, 2, 20, 23, 30
_RELRSZ, _RELR, _RELRENT, _GNU_HASH, _FLAGS_1 = 35, 36, 37, 0x6FFFFEF5, 0x6FFFFFFB
_TABLES = (_STRTAB, _SYMTAB, _STRSZ, _SYMENT, _GNU_HASH)
_MOVED = (_RELA, _RELASZ, _RELAENT, _PLTRELSZ, _PLTREL, _JMPREL, _RELR, _RELRSZ, _RELRENT)
_PLTGOT, _SYMBOLIC, _BIND_NOW = 3, 16, 24
_VERSIONS = (0x6FFFFFF0, 0x6FFFFFF9, 0x6FFFFFFE, 0x6FFFFFFF)
"""VERSYM, RELACOUNT, VERNEED, VERNEEDNUM."""
_PROCESSORS = (0x70000000, 0x70000001, 0x70000003, 0x70000005)
"""How a processor's own linkage table is laid out."""
_TAGS = frozenset((_NULL, _TAG_NEEDED, _TAG_SONAME, _FLAGS, _FLAGS_1, _PLTGOT, _SYMBOLIC, _BIND_NOW))
_TAGS_OF_TABLES = frozenset((*_TABLES, *_MOVED, *_VERSIONS, *_PROCESSORS))
_FLAGS_ALLOWED = {_FLAGS: 2 | 8, _FLAGS_1: 1}
"""Symbolic, bind now."""
_NAMES = {
    12: "a constructor (INIT)",
    13: "a destructor (FINI)",
    15: "a search path (RPATH)",
    22: "text relocations",
    25: "constructors (INIT_ARRAY)",
    26: "destructors (FINI_ARRAY)",
    27: "array sizes of constructors",
    28: "array sizes of destructors",
    29: "a search path (RUNPATH)",
    32: "constructors (PREINIT_ARRAY)",
    0x6FFFFEFA: "a configuration (CONFIG)",
    0x6FFFFEFB: "an auditor (DEPAUDIT)",
    0x6FFFFEFC: "an auditor (AUDIT)",
    0x7FFFFFFD: "a stand-in (AUXILIARY)",
    0x7FFFFFFF: "a stand-in (FILTER)",
}

_BY_ITSELF = frozenset((14, 15, 16))
"""Sections of INIT_ARRAY, FINI_ARRAY and PREINIT_ARRAY."""
_BY_NAME = (".init", ".fini", ".preinit", ".ctors", ".dtors")

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_PAIR, _TRIPLE, _WORD = struct.Struct("<qQ"), struct.Struct("<QQq"), struct.Struct("<Q")


def check_library(data: bytes, machine: str) -> None:
    """Return when loading a shared library brings nothing but its kernels; LoadError says what else it would bring."""
    phoff, phnum = _header(data, machine, _TYPE_LIBRARY)
    image = _Image.of(data, phoff, phnum)
    table = image.dynamic()
    strings = image.at(_one(table, _STRTAB), _one(table, _STRSZ), "its names")
    for tag, value in table:
        if tag == _TAG_NEEDED and (name := _name(strings, value)) not in _NEEDED:
            _refuse(f"it loads {name[:120]!a}, and a bundle's code needs libc.so.6 and libm.so.6 alone")
        if tag == _TAG_SONAME and (name := _name(strings, value)) != _SONAME:
            _refuse(f"it calls itself {name[:120]!a}, not {_SONAME}")
        if tag in _FLAGS_ALLOWED and value & ~_FLAGS_ALLOWED[tag]:
            _refuse(f"it asks the loader for something special (flags {value:#x})")
    if dict(table).get(_SYMENT, _SYMBOL.size) != _SYMBOL.size or dict(table).get(_PLTREL, _RELA) != _RELA:
        _refuse("its tables are of another form")
    count = _symbol_count(image, _one(table, _GNU_HASH))
    symbols = image.at(_one(table, _SYMTAB), count * _SYMBOL.size, "its symbols")
    for name, info, _, section, value, _ in _symbols(symbols, strings):
        _check_symbol(name, info, section)
        if section and info >> 4 and name not in _MARKERS and not image.has(value, 1, _EXECUTE):
            _refuse(f"its kernel {name[:120]!a} is outside its code")
    _check_relocations(image, table, count, _RELOCATIONS[machine])


def check_object(data: bytes, machine: str) -> None:
    """The same for an object that nobody has linked, as llvmlite loads it."""
    _header(data, machine, _TYPE_OBJECT)
    fields = _HEADER.unpack_from(data)
    offset, size, count = fields[6], fields[11], fields[12]
    if size != _SECTION.size or not 0 < count <= _MOST_SYMBOLS or offset + size * count > len(data):
        _refuse("its sections are not in it")
    sections = list(_SECTION.iter_unpack(data[offset : offset + size * count]))
    if not fields[13] < count:
        _refuse("its sections are not in it")
    titles = _slice(data, sections[fields[13]])
    if any(section[1] in _BY_ITSELF or _name(titles, section[0]).startswith(_BY_NAME) for section in sections):
        _refuse("it has constructors or destructors")
    tables = [section for section in sections if section[1] == 2]
    if len(tables) != 1 or not tables[0][6] < count:
        _refuse("it has no table of symbols, or several")
    strings = _slice(data, sections[tables[0][6]])
    table = _slice(data, tables[0])
    if len(table) % _SYMBOL.size:
        _refuse("its table of symbols is cut short")
    for name, info, _, section, _, _ in _symbols(table, strings):
        _check_symbol(name, info, section)


def _slice(data: bytes, section: tuple[int, ...]) -> bytes:
    if section[1] == 8 or section[4] + section[5] > len(data):
        _refuse("its sections are not in it")
    return data[section[4] : section[4] + section[5]]


def _header(data: bytes, machine: str, kind: int) -> tuple[int, int]:
    if len(data) < _HEADER.size:
        _refuse("it is no ELF file")
    ident, got_kind, got_machine, _, _, phoff, _, _, _, phsize, phnum, _, _, _ = _HEADER.unpack_from(data)
    if ident[:7] != b"\x7fELF\2\1\1" or ident[7] not in (0, 3):
        _refuse("it is no ELF file of 64 bits for Linux")
    if got_kind != kind:
        _refuse(f"it is no {'shared library' if kind == _TYPE_LIBRARY else 'object code'}")
    if got_machine != _MACHINES.get(machine):
        _refuse(f"it is for another machine than {machine}")
    if kind == _TYPE_LIBRARY and (
        phsize != _PROGRAM.size or not 0 < phnum <= _MOST_HEADERS or phoff + phnum * phsize > len(data)
    ):
        _refuse("its segments are not in it")
    return phoff, phnum


@dataclass(frozen=True, slots=True)
class _Segment:
    flags: int
    offset: int
    address: int
    held: int
    size: int


@dataclass(frozen=True, slots=True)
class _Image:
    """A library as it lies in memory once it is mapped: only what is read from there is what ld.so reads."""

    data: bytes
    segments: tuple[_Segment, ...]
    table: tuple[int, int]

    @classmethod
    def of(cls, data: bytes, phoff: int, phnum: int) -> _Image:
        segments: list[_Segment] = []
        tables: list[tuple[int, int]] = []
        stack = False
        for kind, flags, offset, address, _, held, size, _ in _PROGRAM.iter_unpack(
            data[phoff : phoff + phnum * _PROGRAM.size]
        ):
            if kind not in _SEGMENTS:
                _refuse(f"it has a segment of kind {kind:#x}")
            if kind == _DYNAMIC:
                tables.append((address, size))
            if kind == _STACK:
                stack = not flags & _EXECUTE
            if kind == _LOAD:
                if flags & _EXECUTE and flags & _WRITE:
                    _refuse("it has code that can be written")
                if offset + held > len(data) or held > size or address + size >= 1 << 40:
                    _refuse("its segments are not in it")
                segments.append(_Segment(flags, offset, address, held, size))
        if not stack:
            _refuse("it makes the stack executable")
        if len(tables) != 1:
            _refuse("it has no dynamic table, or several")
        end = 0
        for segment in segments:
            # two segments on one page would hide one another's bytes
            if segment.address < end or (segment.offset - segment.address) % mmap.PAGESIZE:
                _refuse("its segments overlap")
            end = -(-(segment.address + segment.size) // mmap.PAGESIZE) * mmap.PAGESIZE
        return cls(data, tuple(segments), tables[0])

    def at(self, address: int, size: int, what: str) -> bytes:
        """The bytes in the file that lie at an address in memory."""
        for segment in self.segments:
            start = address - segment.address
            if start >= 0 and start + size <= segment.held:
                return self.data[segment.offset + start : segment.offset + start + size]
        raise LoadError(f"{what} are not in it")

    def has(self, address: int, size: int, flags: int) -> bool:
        """Whether the address is in memory of the library that may be used so."""
        return any(
            segment.flags & flags and segment.address <= address and address + size <= segment.address + segment.size
            for segment in self.segments
        )

    def dynamic(self) -> list[tuple[int, int]]:
        """The dynamic table up to its end, with tags that are known to do no harm alone."""
        address, size = self.table
        if size % _PAIR.size or size > _MOST_ENTRIES * _PAIR.size:
            _refuse("its dynamic table is of another size than such a table has")
        found: list[tuple[int, int]] = []
        for tag, value in _PAIR.iter_unpack(self.at(address, size, "the entries of its dynamic table")):
            if tag == _NULL:
                return found
            if tag not in _TAGS and tag not in _TAGS_OF_TABLES:
                _refuse(f"it has {_NAMES.get(tag, f'the dynamic entry {tag & (1 << 64) - 1:#x}')}")
            found.append((tag, value))
        raise LoadError("its dynamic table has no end")


def _symbol_count(image: _Image, address: int) -> int:
    """How many symbols the hash table can lead to: up to the end of the chain that begins last."""
    buckets, first, words, _ = struct.unpack("<4I", image.at(address, 16, "its symbols"))
    if not 0 < buckets <= _MOST_SYMBOLS or not 0 < words <= _MOST_SYMBOLS or first > _MOST_SYMBOLS:
        _refuse("its symbols are not in it")
    start = address + 16 + 8 * words
    last = max(struct.unpack(f"<{buckets}I", image.at(start, 4 * buckets, "its symbols")))
    if last == 0:
        return first
    if not first <= last <= _MOST_SYMBOLS:
        _refuse("its symbols are not in it")
    chain = start + 4 * buckets - 4 * first
    while not struct.unpack("<I", image.at(chain + 4 * last, 4, "its symbols"))[0] & 1:
        last += 1
        if last > _MOST_SYMBOLS:
            _refuse(f"it has more than {_MOST_SYMBOLS} symbols")
    return last + 1


def _symbols(table: bytes, strings: bytes) -> Iterator[tuple[str, int, int, int, int, int]]:
    for name, info, other, section, value, size in list(_SYMBOL.iter_unpack(table))[1:]:
        yield _name(strings, name), info, other, section, value, size


def _check_symbol(name: str, info: int, section: int) -> None:
    bind, kind = info >> 4, info & 15
    if kind not in (0, 1, 2, 3, 4) or bind not in (0, 1, 2):
        _refuse(f"its symbol {name[:120]!a} is of a kind that runs code when it is looked up, or is shared")
    if not section and name and name not in ALLOWED_UNDEFINED | _MARKERS:
        _refuse(f"it calls {name[:120]!a}, which no kernel calls")
    if section and bind and name not in _MARKERS and not name.startswith(_SYMBOLS):
        _refuse(f"it defines {name[:120]!a}, and a kernel's name begins with {_SYMBOLS}")


def _check_relocations(image: _Image, table: list[tuple[int, int]], symbols: int, kinds: frozenset[int]) -> None:
    given = dict(table)
    for start, length in ((_RELA, _RELASZ), (_JMPREL, _PLTRELSZ)):
        size = given.get(length, 0)
        if size % _TRIPLE.size or size > _MOST_RELOCATIONS * _TRIPLE.size:
            _refuse("its relocations are of another size than such a table has")
        listed = image.at(given[start], size, "its relocations") if size and start in given else b""
        for where, info, _ in _TRIPLE.iter_unpack(listed):
            if info & 0xFFFFFFFF not in kinds:
                _refuse(f"it has a relocation of kind {info & 0xFFFFFFFF}, which kernels have no use for")
            if info >> 32 >= symbols or not _may_be_moved(image, where):
                _refuse("it has a relocation that leads out of it")
    size = given.get(_RELRSZ, 0)
    if size % _WORD.size or size > _MOST_RELOCATIONS * _WORD.size:
        _refuse("its relocations are of another size than such a table has")
    packed = image.at(given[_RELR], size, "its relocations") if size and _RELR in given else b""
    next_one = 0
    for (word,) in _WORD.iter_unpack(packed):
        # an even word is an address; an odd one says which of the 63 words after the last one there are
        places = [word] if not word & 1 else [next_one + 8 * bit for bit in range(63) if word >> bit + 1 & 1]
        next_one = word + 8 if not word & 1 else next_one + 8 * 63
        if not all(_may_be_moved(image, place) for place in places):
            _refuse("it has a relocation that leads out of it")


def _may_be_moved(image: _Image, where: int) -> bool:
    start, size = image.table
    return image.has(where, 8, _WRITE) and not start - 8 < where < start + size


def _one(table: list[tuple[int, int]], tag: int) -> int:
    found = [value for name, value in table if name == tag]
    if len(found) != 1:
        _refuse("its dynamic table lacks what a library has, or has it twice")
    return found[0]


def _name(strings: bytes, at: int) -> str:
    end = strings.find(b"\0", at, at + _LONGEST_NAME) if at < len(strings) else -1
    if end < 0:
        _refuse("its names are not in it")
    return strings[at:end].decode("utf-8", "replace")


def _refuse(why: str) -> NoReturn:
    raise LoadError(why)

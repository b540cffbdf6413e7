"""What each piece of our library costs: its functions, wrapped with a CPU clock for this process alone.

A piece's time is its own: what it spends in another piece counts there. A name that this version of the library does
not have is left out.
"""

import functools
import importlib
import time

# piece → functions, each where it is called from
PIECES = {
    "settings": ["lco_ingester.ingester:_settings"],
    "md5": ["lco_ingester.file.stream:HashingReader._count"],
    "checksum": ["lco_ingester.file.checksum:OnesComplementSum.add"],
    "reading and sizes": ["lco_ingester.file.validation:_HduReader.headers"],
    "characters": ["lco_ingester.file.validation:_HduReader._refuse_illegal"],
    "plain cards": ["lco_ingester.file.headers.parse:split_header"],
    "shape of the HDUs": ["lco_ingester.file.validation:as_astropy_reads"],
    "record": ["lco_ingester.steps:build_record"],
    "footprint (WCS)": ["lco_ingester.record.cleanup:footprint"],
    "archive GET": ["lco_ingester.archive:Archive.has_version"],
    "S3 put": ["lco_ingester.store:Store.put"],
    "archive POST": ["lco_ingester.archive:Archive.post_frame"],
}
REST = "all else"

_spent: dict[str, float] = {}
_below: list[float] = []  # of each piece that is under way: what the pieces inside it took


def timed(ingest):
    """`ingest`, with the clocks put in."""
    for piece, places in PIECES.items():
        for place in places:
            _wrap_place(piece, place)
    return _clocked(REST, ingest)


def taken(count):
    """Milliseconds of CPU a file in each piece since it was last asked."""
    spent = {piece: seconds * 1000 / count for piece, seconds in _spent.items()}
    _spent.clear()
    return spent


def _wrap_place(piece, place):
    module, _, path = place.partition(":")
    *parents, name = path.split(".")
    try:
        owner = functools.reduce(getattr, parents, importlib.import_module(module))
        setattr(owner, name, _clocked(piece, getattr(owner, name)))
    except (ImportError, AttributeError):
        return  # another version of the library, which has no such piece


def _clocked(piece, function):
    @functools.wraps(function)
    def wrapper(*arguments, **named):
        _below.append(0.0)
        began = time.process_time()
        try:
            return function(*arguments, **named)
        finally:
            spent = time.process_time() - began
            _spent[piece] = _spent.get(piece, 0.0) + spent - _below.pop()
            if _below:
                _below[-1] += spent

    return wrapper

"""A null Archive API: finds no md5, accepts every record. `python -m benchmarks.archive_sink` prints its port."""

import itertools
import json

from benchmarks.http_server import Request, Response, listen, serve

_EMPTY = json.dumps({"count": 0, "next": None, "previous": None, "results": []}).encode()
_JSON = {"Content-Type": "application/json"}


class ArchiveSink:
    """Gives each record an id and forgets it."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)

    def answer(self, request: Request) -> Response:
        """The answer to one request of the Archive API's."""
        resource = request.path.strip("/")
        if request.method == "GET" and resource in ("versions", "frames"):
            return Response(body=_EMPTY, headers=dict(_JSON))
        if request.method == "POST" and resource == "frames":
            return self._post(request)
        return Response(404)

    def _post(self, request: Request) -> Response:
        record = json.loads(request.body.read())
        number = next(self._ids)
        answer = {
            "id": number,
            "url": f"http://archive.invalid/frames/{number}/",
            "basename": record["basename"],
            "filename": record["basename"] + record["version_set"][0]["extension"],
        }
        return Response(201, json.dumps(answer).encode(), dict(_JSON))


if __name__ == "__main__":
    socket_ = listen()
    print(socket_.getsockname()[1], flush=True)
    serve(socket_, ArchiveSink().answer)

"""A small Archive API for demos and tests: Flask and SQLite, for flat (`lco`) or nested (`ocs`) records.

Its answers are those observed on running archives, including the behaviour that surprises clients: see the routes.
It is not a complete archive: one token may do everything, and there are no searches and no related frames.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from flask import Flask, Response, abort, jsonify, request
from werkzeug.exceptions import HTTPException

from ingester_demo import archive_page
from ingester_demo.archive_answers import NO_STORE, Page, frame_answer, thumbnail_answer, version_answer
from ingester_demo.archive_frames import ClashError, Frame
from ingester_demo.archive_generations import EXTENSIONS, LCO, OCS, THUMBNAIL, Generation
from ingester_demo.archive_rules import Errors, ServerFaultError, field_errors
from ingester_demo.archive_store import ArchiveStore

__all__ = ["NO_STORE", "create_app"]

PAGE_LENGTH = 200


class RefusedError(Exception):
    """The request is answered with `status` and `answer` as JSON."""

    def __init__(self, status: int, answer: Errors) -> None:
        super().__init__(status, answer)
        self.status = status
        self.answer = answer


def create_app(
    database: str | Path,
    token: str,
    *,
    ignores_md5_filter: bool = False,
    ignores_basename_exact: bool = False,
    dict_refusals: bool = False,
    lag_seconds: float = 0.0,
    store_url: str = NO_STORE,
    record_format: str = "lco",
    extensions: Sequence[str] = (),
) -> Flask:
    """The archive over the SQLite file `database`, which is made if needed.

    `token` is required for POST and `versions/`. `ignores_md5_filter`: `versions/` returns every version, as
    current releases do. `ignores_basename_exact`: `frames/` ignores it, as older releases do. `dict_refusals`: refused
    versions are named `{"0": …}` instead of `[…]`, as with newer framework releases. `lag_seconds`: GET shows only
    what is older. `store_url`: URL of the S3 bucket for links, such as `http://127.0.0.1:9000/frames`.
    `record_format`: `lco` or `ocs`, the records that it accepts. `extensions`: for `ocs`, those that it also knows.
    """
    app = Flask(__name__)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the default provider has it, the base class not
    store = ArchiveStore(database, lag_seconds)
    _authenticate_first(app, token)
    _answer_errors_in_json(app)
    _add_front_page(app, store, store_url)
    generation = replace(OCS, extensions=(*EXTENSIONS, *extensions)) if record_format == "ocs" else LCO
    _add_reading(app, store, store_url, ignores_basename_exact, generation)
    _add_versions(app, store, store_url, ignores_md5_filter)
    _add_posting(app, store, store_url, dict_refusals, generation)
    if generation is not LCO:
        _add_thumbnails(app, store, store_url, dict_refusals)
    return app


def _authenticate_first(app: Flask, token: str) -> None:
    """POST and `versions/` need a token; a wrong one is refused everywhere, even where none is needed."""

    @app.before_request
    def authenticate() -> None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme == "Token" and given.strip() != token:
            raise RefusedError(401, {"detail": "Invalid token."})
        needed = request.method == "POST" or request.path == "/versions/"
        # The redirect to the path with a slash comes before authentication.
        if needed and scheme != "Token" and request.path.endswith("/"):
            raise RefusedError(401, {"detail": "Authentication credentials were not provided."})


def _answer_errors_in_json(app: Flask) -> None:
    """Every 4xx has a JSON body; a 500 has an HTML page, as in the real archive."""

    @app.errorhandler(RefusedError)
    def refuse(error: RefusedError) -> Response:
        response = jsonify(error.answer)
        response.status_code = error.status
        if error.status == 401:
            response.headers["WWW-Authenticate"] = "Token"
        return response

    @app.errorhandler(HTTPException)
    def explain(error: HTTPException) -> Response | HTTPException:
        if error.code is None or not 400 <= error.code < 500:
            return error
        return refuse(RefusedError(error.code, {"detail": f"{error.name}."}))

    @app.after_request
    def redirect_as_django_does(response: Response) -> Response:
        # Flask redirects to the path with a slash with 308, which keeps the method. The archive answers 301, and
        # clients then turn their POST into a GET. Tests need this behaviour.
        if response.status_code == 308:
            response.status_code = 301
        return response


def _add_front_page(app: Flask, store: ArchiveStore, store_url: str) -> None:
    @app.get("/")
    def front_page() -> str:
        count, frames = store.frames(limit=PAGE_LENGTH)
        return archive_page.render(count, [frame_answer(frame, store_url) for frame in frames])


def _add_reading(
    app: Flask, store: ArchiveStore, store_url: str, ignores_basename_exact: bool, generation: Generation
) -> None:
    @app.get("/frames/")
    def list_frames() -> Response:
        asked = request.args.to_dict()
        exactly = None if ignores_basename_exact else asked.get("basename_exact")
        page = Page.asked_for(asked)
        count, frames = store.frames(asked.get("basename", ""), exactly, page.limit, page.offset)
        answers = [frame_answer(frame, store_url, generation.shown) for frame in frames]
        return jsonify(page.answer(count, answers, request.base_url, asked))

    @app.get("/frames/<int:frame_id>/")
    def show_frame(frame_id: int) -> Response:
        return jsonify(frame_answer(_found(store.frame(frame_id)), store_url, generation.shown))

    @app.get("/frames/<int:frame_id>/headers/")
    def show_headers(frame_id: int) -> Response:
        return jsonify({"data": _found(store.frame(frame_id)).headers})


def _add_versions(app: Flask, store: ArchiveStore, store_url: str, ignores_md5_filter: bool) -> None:
    @app.get("/versions/")
    def list_versions() -> Response:
        asked = request.args.to_dict()
        page = Page.asked_for(asked)
        md5 = None if ignores_md5_filter else asked.get("md5")
        count, versions = store.versions(md5, page.limit, page.offset)
        answers = [version_answer(each, store.owner(each.id), store_url) for each in versions]
        return jsonify(page.answer(count, answers, request.base_url, asked))


def _add_posting(app: Flask, store: ArchiveStore, store_url: str, dict_refusals: bool, generation: Generation) -> None:
    @app.post("/frames/")
    def post_frame() -> tuple[Response, int]:
        record = _posted_record()
        try:
            errors = field_errors(record, generation.fields)
            if "version_set" not in errors:
                clashes = store.clashes(record["version_set"]) if errors else []
                errors |= {"version_set": clashes} if any(clashes) else {}
            if errors:
                _refuse(errors, dict_refusals)
            frame = store.post(generation.posting(record))
            generation.fail_on_unknown_extensions(record)
        except ClashError as clash:
            _refuse({"version_set": clash.found}, dict_refusals)
        except ServerFaultError as fault:
            abort(500, f"{fault}")
        return jsonify(frame_answer(frame, store_url, generation.shown)), 201


def _add_thumbnails(app: Flask, store: ArchiveStore, store_url: str, dict_refusals: bool) -> None:
    @app.get("/thumbnails/")
    def list_thumbnails() -> Response:
        asked = request.args.to_dict()
        found = [thumbnail_answer(each, store_url) for each in store.thumbnails()]
        return jsonify(Page.asked_for(asked).answer(len(found), found, request.base_url, asked))

    @app.post("/thumbnails/")
    def post_thumbnail() -> tuple[Response, int]:
        record = _posted_record()
        try:
            errors = field_errors(record, THUMBNAIL.fields)
        except ServerFaultError as fault:
            abort(500, f"{fault}")
        if errors:
            _refuse(errors, dict_refusals)
        made = store.post_thumbnail(THUMBNAIL.posting(record), record["frame_basename"], record["size"])
        return jsonify(thumbnail_answer(made, store_url)), 201


def _refuse(errors: Errors, dict_refusals: bool) -> NoReturn:
    """Answer 400. `[{…}, {}]` names the errors of each version; newer releases write `{"0": {…}}`."""
    versions = errors.get("version_set", [])
    if dict_refusals and all(isinstance(each, dict) for each in versions):
        by_number = {str(number): found for number, found in enumerate(versions) if found}
        errors = errors | ({"version_set": by_number} if by_number else {})
    raise RefusedError(400, errors)


def _posted_record() -> dict[str, Any]:
    """The request's JSON object. Refuses what is not JSON, such as NaN and infinities (RFC 8259, 6)."""
    if not request.is_json:
        raise RefusedError(415, {"detail": f'Unsupported media type "{request.mimetype}" in request.'})

    def refuse_constant(name: str) -> NoReturn:
        raise ValueError(f"Out of range float values are not JSON compliant: {name}")

    try:
        record = json.loads(request.get_data(), parse_constant=refuse_constant)
    except ValueError as error:
        raise RefusedError(400, {"detail": f"JSON parse error - {error}"}) from error
    if not isinstance(record, dict):
        raise RefusedError(400, {"non_field_errors": ["Invalid data. Expected a dictionary."]})
    return record


def _found(frame: Frame | None) -> Frame:
    if frame is None:
        raise RefusedError(404, {"detail": "Not found."})
    return frame

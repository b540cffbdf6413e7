"""Runs inside a contender's own virtual environment: reads jobs, ingests files, prints what it cost.

    python runner.py NAME          NAME: floor, ours, lco or ocs

A job is a line of JSON, `{"path": …, "count": n}`; the answer is one too: CPU (this process alone, user and system)
and wall-clock milliseconds a file, and the process's peak memory. It knows nothing of the project's packages, and
imports that of its contender only: two contenders have packages of the same name.
"""

import gc
import json
import os
import resource
import sys
import time


def floor():
    """What any ingester must do: md5, one GET, one put under that md5, one POST; nothing of FITS."""
    import base64
    import hashlib

    import boto3
    import requests

    record_file = os.environ["FLOOR_RECORD"]
    with open(record_file) as stream:
        record = json.load(stream)  # of the size that a real frame's has
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL_S3"])
    session = requests.Session()
    session.headers["Authorization"] = "Token " + os.environ["AUTH_TOKEN"]
    root, bucket = os.environ["API_ROOT"], os.environ["BUCKET"]

    def ingest(path):
        with open(path, "rb") as stream:
            digest = hashlib.md5()
            while chunk := stream.read(1024 * 1024):
                digest.update(chunk)
            session.get(f"{root}versions/", params={"md5": digest.hexdigest()}).raise_for_status()
            stream.seek(0)
            put = client.put_object(
                Bucket=bucket,
                Key="floor/" + os.path.basename(path),
                Body=stream,
                ContentMD5=base64.b64encode(digest.digest()).decode(),
            )
        version = {"key": put["VersionId"], "md5": digest.hexdigest(), "extension": ".fits"}
        session.post(f"{root}frames/", json={**record, "version_set": [version]}).raise_for_status()

    return ingest


def ours():
    """The library of this project; or lco-ingester 2.1.15, whose package has the same name, in its own environment."""
    from lco_ingester.ingester import upload_file_and_ingest_to_archive

    def ingest(path):
        with open(path, "rb") as stream:
            upload_file_and_ingest_to_archive(stream)

    return ingest


def ocs():
    """ocs-ingester 3.2.0."""
    from ocs_ingester.ingester import upload_file_and_ingest_to_archive

    def ingest(path):
        with open(path, "rb") as stream:
            upload_file_and_ingest_to_archive(stream)

    return ingest


CONTENDERS = {"floor": floor, "ours": ours, "lco": ours, "ocs": ocs}


def cpu():
    """Seconds of CPU that this process has used so far, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def run(ingest, path, count):
    """Ingest a file `count` times: milliseconds of CPU and of wall-clock time a file."""
    gc.collect()
    before, began = cpu(), time.perf_counter()
    for _ in range(count):
        ingest(path)
    return {"cpu_ms": (cpu() - before) * 1000 / count, "wall_ms": (time.perf_counter() - began) * 1000 / count}


def peak_memory():
    """The most memory that this process ever held, in KiB (proc(5), VmHWM)."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def main():
    """Answer jobs until there are no more."""
    sys.stdout, answers = sys.stderr, sys.stdout  # what a library prints is not an answer
    ingest = CONTENDERS[sys.argv[1]]()
    if "PIECES" in os.environ:
        import pieces

        ingest = pieces.timed(ingest)
    for line in sys.stdin:
        job = json.loads(line)
        try:
            answer = run(ingest, job["path"], job["count"])
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answer["peak_kib"] = peak_memory()
        if "PIECES" in os.environ:
            answer["pieces"] = pieces.taken(job["count"])
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()

"""Run every verb over a CSV source in one Ray session: `python every_verb.py FOLDER`."""

from __future__ import annotations

import sys
from importlib import import_module

import ray

from jobs.config.loader import SCHEMAS, load


def main(folder: str) -> None:
    """The source is FOLDER/source, its queries FOLDER/queries, judgments FOLDER/qrels."""
    source = [("source.uri", f"{folder}/source"), ("source.format", "csv")]
    adaptor = [("adaptor.uri", f"{folder}/adaptor")]
    queries = [("queries.uri", f"{folder}/queries"), ("queries.format", "csv")]
    queries += [("qrels.uri", f"{folder}/qrels"), ("qrels.format", "csv")]
    short = [("output.uri", f"{folder}/short"), ("output.dim", "4")]
    short += [("output.encoding", "thousandths"), ("output.format", "arrow")]
    flags = {
        "fit": [*source, ("output.uri", f"{folder}/adaptor"), ("adaptor.dims", "4,8"), ("training.steps", "20")],
        "plan": [*source, *adaptor, *short, ("calibration.megabytes", "1")],
        "compress": [*source, *adaptor, *short],
        "verify": [*source, *adaptor, *short],
        "advise": [*source, *adaptor, ("output.uri", f"{folder}/advice"), ("advising.encodings", "thousandths")],
        "evaluate": [*source, *adaptor, *queries, ("output.uri", f"{folder}/evaluation")],
    }
    with ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False):
        for verb, given in flags.items():
            status = import_module(f"jobs.{verb}.command").run(load(SCHEMAS[verb], None, given))
            print(f"{verb}: {status}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])

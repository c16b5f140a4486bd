"""Figures beside what is wanted of them; see ./bench. Exits with 1 when one is over."""

import argparse
import json
import os
import sys

import build_figures
import local_figures


def measured(arguments):
    if arguments.only in ("build", "demo"):
        yield from getattr(build_figures, arguments.only)()
        return
    if arguments.only != "cluster":
        yield from local_figures.figures()
    if arguments.only == "local":
        return
    if "YBIS_AUDIT_LOG" in os.environ:
        import cluster_figures  # its helpers want the cluster's environment

        yield from cluster_figures.figures(arguments.tasks)
    elif arguments.only == "cluster":
        sys.exit("the cluster is not up: `make demo` brings it")
    else:
        print("the cluster is not up, so its figures are left out: `make demo` brings it", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=["local", "cluster", "build", "demo"], help="build and demo come when asked for alone")
    parser.add_argument("--tasks", type=int, default=20, help="run in the cluster, one after the other")
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
    arguments = parser.parse_args()
    figures = []
    for figure in measured(arguments):
        figures.append(figure)
        if arguments.output == "table":
            verdict = {True: "OK", False: "over", None: ""}[figure.ok]
            value = f"{figure.value:.4g}" if figure.value < 1000 else f"{figure.value:,.0f}"
            print(f"{figure.name:<62} {value:>9} {figure.unit:<9} {figure.wanted:<14} {verdict}", flush=True)
    if arguments.output == "json":
        print(json.dumps([figure.as_json() for figure in figures], indent=2, ensure_ascii=False))
    return 1 if any(figure.ok is False for figure in figures) else 0


sys.exit(main())

# shellcheck shell=bash
# Words for the person at the terminal. They go to standard error, so that
# standard output carries only what a verb promises.

say() { echo "cluster: $*" >&2; }

# A failure is one line: what is missing, and what to do.
fail() {
  echo "cluster: error: $*" >&2
  exit 1
}

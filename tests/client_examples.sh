#!/usr/bin/env bash
# Fetch the Python examples of Triton's client project and print their folder: what TRITON_CLIENT_EXAMPLES is to name.
#   tests/client_examples.sh [DIR]        (default: .marquee/triton-client; 20 MB)
# They stay outside the project. Needs git and the network; prints nothing and fails without.
set -euo pipefail

release=r26.04
dir=${1:-.marquee/triton-client}
examples=$dir/src/python/examples
if [ ! -d "$examples" ]; then
  git clone --quiet --depth 1 --branch "$release" https://github.com/triton-inference-server/client "$dir" >&2
fi
cd "$examples" && pwd

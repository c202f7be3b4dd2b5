#!/usr/bin/env bash
# Networks on a GPU against the CPU, on a machine that has Python and PyTorch and needs nothing else of ours.
#
#     benchmarks/gpu.sh pack            # here: wheels of what trimatte needs into benchmarks/wheels (not kept by git)
#     benchmarks/gpu.sh run OUT         # there: within eight minutes; the table goes to OUT/gpu.md, the log to OUT/gpu.log
#     benchmarks/gpu.sh small OUT       # anywhere: the same with small pictures on the CPU, as continuous integration does
#
# PYTHON names the Python that has PyTorch; that of `pack` must be of the same version and kind of machine.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-}
out=${2:-runs/gpu}
python=${PYTHON:-python3}
wheels=benchmarks/wheels

pack() {
  mkdir -p "$wheels"
  "$python" - <<'END' > "$wheels/needed.txt"
import tomllib

project = tomllib.load(open("pyproject.toml", "rb"))
needed = project["project"]["dependencies"]
extras = project["project"]["optional-dependencies"]
needed += [each for each in extras["torch"] if not each.startswith("torch")] + ["onnx", "pytest", "hypothesis"]
print("\n".join(needed))
END
  "$python" -m pip download --quiet --only-binary :all: --constraint constraints.txt --dest "$wheels" \
    --requirement "$wheels/needed.txt" hatchling
  if [ -n "${ONNXRUNTIME_GPU:-}" ]; then
    "$python" -m pip download --quiet --only-binary :all: --no-deps --dest "$wheels" onnxruntime-gpu
  fi
  du -sh "$wheels"
}

# A folder of packages beside the Python that has PyTorch; nothing of the machine's own is changed.
provide() {
  if "$python" - scipy numba onnxruntime skimage onnx pytest hypothesis <<'END'
import sys
from importlib.util import find_spec

sys.exit(not all(map(find_spec, sys.argv[1:])))
END
  then
    export PYTHONPATH=$PWD/src${PYTHONPATH:+:$PYTHONPATH}
    return
  fi
  [ -d "$wheels" ] || { echo "no $wheels: run \`benchmarks/gpu.sh pack\` where there is a network" >&2; exit 1; }
  "$python" -m pip install --quiet --no-index --find-links "$wheels" --target "$out/packages" \
    --requirement "$wheels/needed.txt"
  # Those that PyTorch was built with go first.
  rm -rf "$out"/packages/{torch,numpy,numpy.libs,numpy-*}
  "$python" -c 'import numpy' 2>/dev/null || \
    "$python" -m pip install --quiet --no-index --find-links "$wheels" --target "$out/packages" --no-deps numpy
  export PYTHONPATH=$PWD/src:$out/packages
}

case $what in
  pack)
    pack
    ;;
  run | small)
    mkdir -p "$out"
    out=$(cd "$out" && pwd)
    provide
    flags=()
    [ "$what" = run ] || flags+=(--small)
    "$python" benchmarks/gpu.py --out "$out" "${flags[@]}" 2>&1 | tee "$out/gpu.log"
    if [ "$what" = run ]; then
      "$python" -m pytest -q -p no:cacheprovider -m gpu tests/networks tests/training 2>&1 | tee -a "$out/gpu.log"
    fi
    ;;
  *)
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac

#!/usr/bin/env bash
# Lay out a real tritonserver 2.51 (CPU, Python backend) and perf_analyzer under a folder: the peer of the tests marked `triton`.
#   tests/reference_server.sh [DIR]        (default: .marquee/tritonserver; 400 MB; some seconds)
# Both come out of wheels: nvidia-pytriton carries the server, tritonclient up to 2.50 carries perf_analyzer.
# Needs x86-64 Linux with glibc 2.35 or newer and python3.11 with libpython3.11.so.
set -euo pipefail

dir=${1:-.marquee/tritonserver}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
[ -f "$dir/.complete" ] && exit 0
python=$(command -v python3.11)

echo "laying out the reference tritonserver under $dir"
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --dest "$dir/wheels" nvidia-pytriton==0.7.0
"$python" -m zipfile -e "$dir"/wheels/nvidia_pytriton-0.7.0-*.whl "$dir/tw"
server=$dir/tw/pytriton/tritonserver
cp --remove-destination "$server/python_backend_stubs/3.11/triton_python_backend_stub" "$server/backends/python/"
chmod +x "$server/bin/tritonserver" "$server/backends/python/triton_python_backend_stub"

# The stub was built against numpy 1.x: with numpy 2 every output has a wrong byte size.
"$python" -m venv "$dir/ortvenv"
"$dir/ortvenv/bin/pip" install --quiet --disable-pip-version-check \
  "numpy==1.26.4" "onnxruntime==1.31.1" "faiss-cpu==1.15.1" "tokenizers==0.23.3" "pillow==13.0.0"

# perf_analyzer wants libb64 and libcudart, which the server's wheel has under hashed names.
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$dir/wheels" tritonclient==2.50.0
mkdir -p "$dir/pa" "$dir/palib"
"$python" - "$dir" <<'PY'
import pathlib, sys, zipfile

folder = pathlib.Path(sys.argv[1])
wheel = zipfile.ZipFile(next((folder / "wheels").glob("tritonclient-2.50.0-*.whl")))
binary = folder / "pa" / "perf_analyzer"
binary.write_bytes(wheel.read(next(name for name in wheel.namelist() if name.endswith("/bin/perf_analyzer"))))
binary.chmod(0o755)
PY
ln -sf "$dir"/tw/nvidia_pytriton.libs/libb64-*.so.0d "$dir/palib/libb64.so.0d"
ln -sf "$dir"/tw/nvidia_pytriton.libs/libcudart-*.so.12* "$dir/palib/libcudart.so.12"
rm -rf "$dir/wheels"
touch "$dir/.complete"

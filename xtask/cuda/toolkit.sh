#!/usr/bin/env bash
# Makes a CUDA 13.0 toolkit from PyPI wheels, to build the feature `cuda` where CUDA is not installed. See README.md.
#
#   xtask/cuda/toolkit.sh cargo build ...    run a command with this toolkit
#   eval "$(xtask/cuda/toolkit.sh)"          or let the shell keep it
#
# FORETASTE_CUDA   where the toolkit lies (target/cuda)
# CUDA_COMPUTE_CAP  the GPU to build for (the one that nvidia-smi finds, else 90)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(realpath -m "${FORETASTE_CUDA:-$here/../../target/cuda}")
home=$root/home
stubs=$home/lib64/stubs

make_home() {
    local wheels library
    python3 -m venv "$root/venv"
    "$root/venv/bin/pip" install --quiet --no-deps --only-binary :all: --requirement "$here/requirements.txt" >&2
    wheels=$(echo "$root"/venv/lib/python3*/site-packages/nvidia/cu13)
    mkdir -p "$stubs"
    ln -s "$wheels"/{bin,include,nvvm} "$home"
    ln -s "$wheels"/lib/* "$home/lib64"
    # The linker looks for names without a version, which the wheels do not have.
    for library in "$wheels"/lib/*.so.*; do
        ln -s "$library" "$home/lib64/$(basename "${library%%.so.*}").so"
    done
}

# The driver's library comes with the driver, not with CUDA. To link, a library is enough whose functions have the right
# names and do nothing but return CUDA_ERROR_STUB_LIBRARY.
make_stub() {
    local functions
    functions=$(echo '#include <cuda.h>' | cc -E -I"$home/include" - | grep -oP '^\s*CUresult\s+\Kcu\w+(?=\s*\()')
    sed 's/.*/int &(void) { return 34; }/' <<<"$functions" |
        cc -shared -fPIC -Wl,-soname,libcuda.so.1 -x c - -o "$stubs/libcuda.so.1"
    ln -s libcuda.so.1 "$stubs/libcuda.so"
}

if ! cmp --quiet "$here/requirements.txt" "$root/made-from.txt"; then
    rm -rf "$root/venv" "$home" "$root/made-from.txt"
    make_home
    make_stub
    cp "$here/requirements.txt" "$root/made-from.txt"
fi

libraries=$home/lib64
# Programs start without a driver if they find the stub, which must not hide a driver that is there.
python3 -c 'import ctypes; ctypes.CDLL("libcuda.so.1")' 2>/dev/null || libraries+=:$stubs

environment=(
    "CUDA_HOME=$home"
    "CUDA_PATH=$home"
    "PATH=$home/bin:$PATH"
    "LIBRARY_PATH=$home/lib64:$stubs${LIBRARY_PATH:+:$LIBRARY_PATH}"
    "LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
)
command -v nvidia-smi >/dev/null || environment+=("CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-90}")

if (($#)); then
    exec env "${environment[@]}" "$@"
fi
printf 'export %q\n' "${environment[@]}"

#!/usr/bin/env bash
# One NVIDIA GPU: are the kernels right there, and how fast are training steps beside PyTorch's? Builds
# and downloads nothing, and ends within its time. bench/README.md tells how it is run.
set -u

usage() {
    cat <<'END'
Usage: bench/gpu.sh --bin DIR [OPTION]...

  --bin DIR       prebuilt programs: nitp, and the test program of tests/ (under any name)
  --tests DIR     where the test program runs; holds vectors/ [tests/ of this tree]
  --out DIR       logs, JSON and table.md [target/gpu]
  --device NAME   part of the adapter's name [NVIDIA]
  --seconds N     for all of it; a step that finds none left is not begun [290]
  --only REGEX    only the steps of such names; the rest of DIR stays, and is in the table
  --quick         toy sizes, to try every step, on any adapter; PyTorch without a GPU takes the CPU

$PYTHON [python3] is the Python with PyTorch.
END
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || exit
bin='' tests=$root/tests out=$root/target/gpu device=NVIDIA seconds=290 only='' quick=''
while (($#)); do
    case $1 in
    --quick) quick=1 ;;
    -h | --help) usage && exit ;;
    --bin | --tests | --out | --device | --seconds | --only)
        (($# > 1)) || { echo "$1 takes a value" >&2 && exit 2; }
        declare "${1#--}=$2" && shift
        ;;
    *) usage >&2 && exit 2 ;;
    esac
    shift
done
[[ -n $bin ]] || { usage >&2 && exit 2; }
bin=$(cd "$bin" && pwd) && tests=$(cd "$tests" && pwd) || exit
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit
[[ -n $only ]] || rm -f "$out"/*.{out,log} "$out"/{table.md,steps.tsv}
# What is measured of the kernels stays with the rest, away from the user's own.
export NITP_CACHE_DIR=${NITP_CACHE_DIR:-$out/tuning} RUST_BACKTRACE=0
python=${PYTHON:-python3} failed=() job=''
declare -A spent=()
touch "$out/steps.tsv"
trap '[[ -n $job ]] && kill "$job"; exit 130' INT TERM

# step NAME LIMIT COMMAND...: what it prints is NAME.out, its messages NAME.log.
step() {
    local name=$1 limit=$2 left=$((seconds - SECONDS)) rc word='ok' ms
    local begun=${EPOCHREALTIME/[.,]/}
    shift 2
    [[ $name =~ $only ]] || return 0
    ((left < limit)) && limit=$left
    if ((limit < 3)); then
        rm -f "$out/$name.out"
        echo "not begun: no time was left of $seconds s" >"$out/$name.log"
        rc=124
    else
        timeout -k 5 "$limit" "$@" >"$out/$name.out" 2>"$out/$name.log" </dev/null &
        # Waited for, so that Ctrl-C is heard.
        job=$!
        wait "$job"
        rc=$? job=''
        ((rc == 124 || rc == 137)) && echo "stopped: it took more than its $limit s" >>"$out/$name.log"
    fi
    ms=$(((${EPOCHREALTIME/[.,]/} - begun) / 1000))
    if ((rc)); then
        word="failed ($rc): $(grep -im1 error "$out/$name.log" || tail -n 1 "$out/$name.log")"
        failed+=("$name")
    fi
    spent[${name%%-*}]=$((${spent[${name%%-*}]:-0} + ms))
    printf '%s\t%s\t%s\n' "$name" "$rc" "$ms" >>"$out/steps.tsv"
    printf '%-26s %3d.%d s  %s\n' "$name" $((ms / 1000)) $((ms % 1000 / 100)) "$word"
}

# The program that lists tests of ops.
test_program() {
    local file
    for file in "$bin"/*; do
        [[ -f $file && -x $file && ${file##*/} != nitp ]] || continue
        # Not grep -q: a program whose list nobody reads to its end panics.
        "$file" --list 2>/dev/null | grep '^ops::' >/dev/null && echo "$file" && return
    done
    echo "$bin has no test program" >&2
    return 1
}

machine() {
    nvidia-smi || true
    "$bin/nitp" devices
    "$python" -c 'import sys, torch; print("Python", sys.version, "PyTorch", torch.__version__)'
}

run_tests() {
    local program
    program=$(test_program) && cd "$tests" && "$program" "$@"
}

# The whole configuration of a preset, as a run of one step on the CPU writes it.
config() {
    local preset=$1 run=$out/run-$1
    rm -rf "$run"
    # The tokenizer is found from here.
    cd "$root" || return
    "$bin/nitp" train --preset "$preset" --device cpu --steps 1 --out "$run" \
        --data "$root/demo-data/corpus.jsonl" --set train.batch_size=1 --set train.context_length=8 \
        --set train.eval_interval=0 --set train.geometry_interval=0 &&
        cp "$run/config.toml" "$out/$preset.toml"
    local rc=$?
    rm -rf "$run"
    return $rc
}

# Bash functions, for timeout.
export -f machine run_tests test_program config
export bin tests out python root

# ours NAME LIMIT PRECISION PRESET SETTING...
ours() {
    local name=$1 limit=$2 precision=$3 preset=$4
    shift 4
    step "nitp-$name-$precision" "$limit" "$bin/nitp" bench step --json --preset "$preset" \
        --device "$device" --steps "$steps" "${our_options[@]}" \
        --set "train.precision=$precision" "${@/#/--set=}"
}

# theirs NAME LIMIT PRECISION PRESET [--compile] SETTING...
theirs() {
    local name=$1 limit=$2 precision=$3 preset=$4 compile=()
    shift 4
    [[ $1 == --compile ]] && compile=("$1") && name=$name-compiled && shift
    step "torch-$name-$precision" "$limit" "$python" "$root/bench/pytorch_step.py" \
        "$out/$preset.toml" --json --name "$preset" --device "$torch_device" \
        --precision "$precision" "${compile[@]}" "${torch_options[@]}" "${@/#/--set=}"
}

model=small moe=small-moe steps=20 product=4096 torch_device=cuda our_options=() torch_options=()
small=(train.batch_size=32 train.context_length=256)
wide=(train.batch_size=8 train.context_length=1024 model.hidden_size=768 model.num_hidden_layers=12
    model.num_attention_heads=12 model.num_key_value_heads=12 model.head_dim=64
    model.intermediate_size=2048 model.vocab_size=1024)
experts=(train.batch_size=16 train.context_length=256)
ops_tests=ops:: model_tests=model::
if [[ -n $quick ]]; then
    model=nano moe=tiny-moe steps=1 product=256
    our_options=(--tune off) torch_options=(--rounds 3 --skip 1)
    small=(train.batch_size=2 train.context_length=32)
    wide=("${small[@]}" model.hidden_size=64)
    experts=("${small[@]}" model.num_hidden_layers=2)
    ops_tests=ops::swiglu model_tests=model::gradients
    nvidia-smi >/dev/null 2>&1 || torch_device=cpu
fi

step machine 30 bash -c machine
step tests-ops 90 bash -c "run_tests $ops_tests"
step tests-model 90 bash -c "run_tests $model_tests"
step config-$model 30 bash -c "config $model"
step config-$moe 30 bash -c "config $moe"
ours small 90 f32 $model "${small[@]}"
theirs small 40 f32 $model "${small[@]}"
ours small 90 mixed $model "${small[@]}"
theirs small 40 bf16 $model "${small[@]}"
step nitp-product 40 "$bin/nitp" bench matmul --size $product --factors f16 --json \
    --device "$device" --steps 5
ours wide 90 f32 $model "${wide[@]}"
theirs wide 40 f32 $model "${wide[@]}"
ours wide 90 mixed $model "${wide[@]}"
theirs wide 40 bf16 $model "${wide[@]}"
ours moe 90 mixed $moe "${experts[@]}"
theirs moe 40 bf16 $moe "${experts[@]}"
theirs small 90 bf16 $model --compile "${small[@]}"

echo
"$python" "$root/bench/gpu_table.py" "$out" ${quick:+--quick} | tee "$out/table.md"
echo
for part in "${!spent[@]}"; do
    echo "$part: $(((spent[$part] + 500) / 1000)) s"
done
echo "$SECONDS s in all. Logs, JSON (NAME.out) and table.md are in $out"
if ((${#failed[@]})); then
    echo "failed: ${failed[*]}"
    exit 1
fi

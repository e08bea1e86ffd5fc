#!/usr/bin/env bash
# The comparisons of docs/findings.md: where do hidden states degenerate under next-token prediction, and does NITP help?
#
#     python3 demo-data/search/prepare.py           once: the texts and tokenizers, in search/ (ignored by git)
#     bash demo-data/search/run.sh                  every comparison, most telling first
#     bash demo-data/search/run.sh tied nano        these alone
#     python3 demo-data/search/table.py             the table of docs/findings.md
#
# A comparison that was stopped goes on where it stopped; one that is done costs a second. Variables: NITP, the program
# (default: that of `cargo build -p native`), SEARCH, the folder of all of it, SEEDS, and OPTIONS, more options for each
# comparison, as "--device cpu" or "--set train.batch_size=32 --steps 20000" on a large GPU.
set -euo pipefail
cd "$(dirname "$0")/../.."
nitp=${NITP:-target/debug/nitp}
search=${SEARCH:-search}
seeds=${SEEDS:-3}
read -ra options <<<"${OPTIONS:-}"
wanted=("$@")

# compare NAME --preset|--config VALUE [more options]
compare() {
    local name=$1
    shift
    if ((${#wanted[@]})) && [[ ! " ${wanted[*]} " == *" $name "* ]]; then return; fi
    echo "== $name"
    "$nitp" compare "$@" --seeds "$seeds" --yes --out "$search/labs/$name" "${options[@]}"
}

# On the text from Debian's packages, with 8,192 tokens unless a comparison says otherwise.
real() {
    local name=$1 config=$2
    shift 2
    compare "$name" --config "demo-data/configs/$config.toml" --data "$search/corpus.jsonl" \
        --set "data.tokenizer=$search/tokenizer-8k.json" \
        --probe "$search/probe.jsonl" --task "$search/next.jsonl" "$@"
}

width_32=(--set model.hidden_size=32 --set model.head_dim=8 --set model.intermediate_size=86)
tied=(--set model.tie_word_embeddings=true)

real rate-x16 narrow --set train.learning_rate=3.2e-2
real tied narrow "${tied[@]}" --arm nitp-target-2:nitp.enabled=true,nitp.target_layer=2
real harsh narrow "${width_32[@]}" "${tied[@]}" --steps 1000 --set train.learning_rate=8e-3 --set train.weight_decay=0
compare nano --preset nano
real moe narrow-moe
compare little --config demo-data/configs/narrow.toml --data "$search/little.jsonl" --steps 1000 \
    --set "data.tokenizer=$search/tokenizer-8k.json" --set data.validation_fraction=0.1 \
    --probe "$search/probe.jsonl" --task "$search/next.jsonl"
compare tiny --preset tiny
real narrow-long narrow --steps 2000
real deep narrow-deep
real settings narrow --arm lambda-0.1:nitp.enabled=true,nitp.weight=0.1 \
    --arm lambda-0.3:nitp.enabled=true,nitp.weight=0.3 --arm target-0:nitp.enabled=true,nitp.target_layer=0
real vocabulary-32k narrow --set model.vocab_size=32768 --set "data.tokenizer=$search/tokenizer-32k.json"
real width-32-long narrow "${width_32[@]}" "${tied[@]}" --steps 4000

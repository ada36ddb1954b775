#!/bin/sh
# Count the reads of each slice in a SLURM array. Cut the dataset, then submit a task for each slice:
#
#   export SLICERY_URL=https://slicery.example.org SLICERY_TOKEN=sk_…
#   PARTITION=$(slicery partition run7 --count 200 --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])')
#   sbatch --array=0-199 --export=ALL,PARTITION="$PARTITION" slurm_array.sh
#
# Each task needs `pip install 'slicery[cli]'`, the partition's id and its own number, and nothing else.
#SBATCH --job-name=slices
#SBATCH --cpus-per-task=1
#SBATCH --mem=1G
#SBATCH --time=00:10:00
#SBATCH --output=slice-%a.out
set -eu

slicery get "$PARTITION" "$SLURM_ARRAY_TASK_ID" -o "slice-$SLURM_ARRAY_TASK_ID.fastq.gz"
zcat "slice-$SLURM_ARRAY_TASK_ID.fastq.gz" | awk 'END {print NR / 4, "reads"}'
rm "slice-$SLURM_ARRAY_TASK_ID.fastq.gz"

#!/bin/bash
# A batch on Slurm: eight array tasks of one GPU each share the rows of jobs.jsonl, every eighth row to each.
#   sbatch samples/slurm.sh && ... later: mcld-anim batch jobs.jsonl --output-dir outputs   # merges the records
# A task that is requeued, or the same sbatch again, goes on where it was.
#SBATCH --job-name=mcld-anim
#SBATCH --array=1-8
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=12:00:00
#SBATCH --requeue
set -euo pipefail

export MCLD_ANIM_HOME="${MCLD_ANIM_HOME:-$SLURM_SUBMIT_DIR/mcld-anim-home}"    # weights and caches, on shared storage
srun mcld-anim batch jobs.jsonl --output-dir outputs --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" --retries 1

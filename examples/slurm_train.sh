#!/usr/bin/env bash
# Training on two nodes of a Slurm cluster with four GPUs each. What follows the script's name goes to `joyful train`:
# sbatch examples/slurm_train.sh --train-file train.jsonl --output-dir out
#SBATCH --job-name=joyful
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=04:00:00
#SBATCH --output=joyful-%j.log
#SBATCH --requeue
set -euo pipefail

# On each node a launcher starts a process per GPU; all of them meet on the first node.
gpus=${SLURM_GPUS_ON_NODE:-4}
processes=$((gpus * SLURM_NNODES))
nodes=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
first_node=${nodes%%$'\n'*} # not `| head`: a reader that stops early kills the writer, and the script with it
port=$((20000 + SLURM_JOB_ID % 20000)) # jobs that share a node must not share a port

# SLURM_NODEID is read on the node. The files lie where every node sees them. A job that was interrupted and is queued
# again resumes, because the command is the same.
exec srun --kill-on-bad-exit=1 bash -c '
    exec accelerate launch --multi_gpu --num_machines "$SLURM_NNODES" --machine_rank "$SLURM_NODEID" \
        --num_processes "$1" --main_process_ip "$2" --main_process_port "$3" --mixed_precision no --dynamo_backend no \
        -m joyful_hf.cli.app train "${@:4}"
' launch "$processes" "$first_node" "$port" "$@"

#!/bin/bash
#SBATCH --job-name=parsl.perlmutter-mps.block-0
#SBATCH --output=RUN_DIR/submit_scripts/parsl.perlmutter-mps.block-0.stdout
#SBATCH --error=RUN_DIR/submit_scripts/parsl.perlmutter-mps.block-0.stderr
#SBATCH --account=YOUR_PROJECT_g
#SBATCH --qos=debug
#SBATCH --constraint=gpu
#SBATCH --time=00:30:00
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --exclusive
#SBATCH --no-requeue

module load conda
conda activate YOUR_ENV

export JOBNAME="parsl.perlmutter-mps.block-0"

# What each node of the block runs, written beside this script.
SCRIPT_DIR=RUN_DIR/submit_scripts
if ! [ -w "$SCRIPT_DIR" ]; then
    echo "relay-parsl: $(hostname) cannot write to $SCRIPT_DIR, where the submit scripts are: the nodes must share that filesystem" >&2
    exit 1
fi
NODE_SCRIPT="$SCRIPT_DIR/node_${JOBNAME:-$$}.sh"
cat > "$NODE_SCRIPT" << 'END_OF_NODE_SCRIPT'
NODE=$(hostname)

# node_init: the first line that fails ends this node.
trap 'CODE=$?; echo "relay-parsl: node_init failed on $NODE with exit code $CODE: no manager starts there" >&2; exit $((CODE ? CODE : 1))' EXIT
set -e
export CUDA_MPS_PIPE_DIRECTORY=/tmp/mps-pipe CUDA_MPS_LOG_DIRECTORY=/tmp/mps-log
mkdir -p "$CUDA_MPS_PIPE_DIRECTORY" "$CUDA_MPS_LOG_DIRECTORY"
CUDA_VISIBLE_DEVICES=0,1,2,3 nvidia-cuda-mps-control -d
set +e
trap - EXIT

# node_exit: when the manager has ended, or this is told to end: once, though batch systems tell each process, and mpiexec passes it on.
node_exit() {
trap - EXIT
trap '' TERM INT
kill "$MANAGER" 2> /dev/null && wait "$MANAGER"
echo quit | nvidia-cuda-mps-control
}
trap 'CODE=$?; node_exit; exit $CODE' EXIT
trap "trap '' TERM INT; exit 143" TERM INT

env RELAY_PARSL_ACCELERATORS=0+1+2+3+4+5+6+7+8+9+10+11+12+13+14+15 PYTHON -m parsl.executors.high_throughput.process_worker_pool --max_workers_per_node=16 -a ADDRESS -p 0 -c 1.0 -m None --poll 10 --port=PORT --cert_dir RUN_DIR/perlmutter-mps/certificates --logdir=RUN_DIR/perlmutter-mps --logconf=None --block_id=0 --hb_period=15 --hb_threshold=120 --drain_period=1620 --cpu-affinity list:48-51,112-115:52-55,116-119:56-59,120-123:60-63,124-127:32-35,96-99:36-39,100-103:40-43,104-107:44-47,108-111:16-19,80-83:20-23,84-87:24-27,88-91:28-31,92-95:0-3,64-67:4-7,68-71:8-11,72-75:12-15,76-79 --mpi-launcher=mpiexec --available-accelerators 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 &
MANAGER=$!
wait "$MANAGER"
CODE=$?
[ $CODE -eq 0 ] || echo "relay-parsl: the manager on $NODE ended with exit code $CODE" >&2
exit $CODE
END_OF_NODE_SCRIPT

# One of them on each node.
CODE=0
export CORES="${SLURM_CPUS_ON_NODE:-$(getconf _NPROCESSORS_ONLN)}" NODES="${SLURM_JOB_NUM_NODES:-1}"
echo "$NODES nodes of $CORES CPUs"
srun --nodes=1 --ntasks=1 --ntasks-per-node=1 --cpus-per-task="$CORES" --cpu-bind=none --kill-on-bad-exit=0 --no-kill --label /bin/bash "$NODE_SCRIPT" || CODE=$?
[ $CODE -eq 0 ] || echo "relay-parsl: a manager failed or could not be started: exit code $CODE" >&2
echo "all managers have ended"
exit $CODE

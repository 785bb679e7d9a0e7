#!/bin/bash
#PBS -N parsl.polaris-mps.block-0
#PBS -A YOUR_PROJECT
#PBS -q debug
#PBS -l select=1:ncpus=64:system=polaris:ngpus=4
#PBS -l place=scatter
#PBS -l walltime=01:00:00
#PBS -l filesystems=home:eagle
#PBS -k doe
#PBS -r n
#PBS -m n
#PBS -o RUN_DIR/submit_scripts/parsl.polaris-mps.block-0.stdout
#PBS -e RUN_DIR/submit_scripts/parsl.polaris-mps.block-0.stderr
#PBS -S /bin/bash

[ ${#TMPDIR} -le 40 ] || export TMPDIR=/tmp

module use /soft/modulefiles
module load conda
conda activate YOUR_ENV

export JOBNAME="parsl.polaris-mps.block-0"
[ ! . -ef "$HOME" ] || cd RUN_DIR/submit_scripts || exit 1

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

env RELAY_PARSL_ACCELERATORS=0+1+2+3+4+5+6+7+8+9+10+11+12+13+14+15 PYTHON -m parsl.executors.high_throughput.process_worker_pool --max_workers_per_node=16 -a ADDRESS -p 0 -c 1.0 -m None --poll 10 --port=PORT --cert_dir RUN_DIR/polaris-mps/certificates --logdir=RUN_DIR/polaris-mps --logconf=None --block_id=0 --hb_period=15 --hb_threshold=120 --drain_period=3240 --cpu-affinity list:24-25,56-57:26-27,58-59:28-29,60-61:30-31,62-63:16-17,48-49:18-19,50-51:20-21,52-53:22-23,54-55:8-9,40-41:10-11,42-43:12-13,44-45:14-15,46-47:0-1,32-33:2-3,34-35:4-5,36-37:6-7,38-39 --mpi-launcher=mpiexec --available-accelerators 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 &
MANAGER=$!
wait "$MANAGER"
CODE=$?
[ $CODE -eq 0 ] || echo "relay-parsl: the manager on $NODE ended with exit code $CODE" >&2
exit $CODE
END_OF_NODE_SCRIPT

# One of them on each node.
CODE=0
if [ -z "${PBS_NODEFILE:-}" ]; then
    echo "relay-parsl: PBS_NODEFILE is not set on $(hostname): PalsMpiexecLauncher starts managers inside of a PBS job" >&2
    exit 1
fi
HOSTFILE="$SCRIPT_DIR/hosts_${JOBNAME:-$$}"
awk '!seen[$0]++' "$PBS_NODEFILE" | head -n 1 > "$HOSTFILE"    # PBS may name a host several times
HOSTS=$(wc -l < "$HOSTFILE")
if [ "$HOSTS" -ne 1 ]; then
    echo "relay-parsl: the job has $HOSTS of 1 nodes: its chunks share a node, which place=scatter prevents" >&2
fi
mpiexec -n "$HOSTS" --hostfile "$HOSTFILE" --ppn 1 --cpu-bind none --depth 64 --no-abort-on-failure /bin/bash "$NODE_SCRIPT" || CODE=$?
[ $CODE -eq 0 ] || echo "relay-parsl: a manager failed or could not be started: exit code $CODE" >&2
echo "all managers have ended"
exit $CODE

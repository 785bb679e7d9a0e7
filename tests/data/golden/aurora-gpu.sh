#!/bin/bash
#PBS -N parsl.aurora-gpu.block-0
#PBS -A YOUR_PROJECT
#PBS -q debug
#PBS -l select=1:ncpus=208
#PBS -l place=scatter
#PBS -l walltime=00:30:00
#PBS -l filesystems=home:flare
#PBS -k doe
#PBS -r n
#PBS -m n
#PBS -o RUN_DIR/submit_scripts/parsl.aurora-gpu.block-0.stdout
#PBS -e RUN_DIR/submit_scripts/parsl.aurora-gpu.block-0.stderr
#PBS -S /bin/bash

[ ${#TMPDIR} -le 40 ] || export TMPDIR=/tmp

module load frameworks
source /path/to/your/environment/bin/activate

export JOBNAME="parsl.aurora-gpu.block-0"
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

(
env RELAY_PARSL_ACCELERATORS=0.0+0.1+1.0+1.1+2.0+2.1+3.0+3.1+4.0+4.1+5.0+5.1 PYTHON -m parsl.executors.high_throughput.process_worker_pool --max_workers_per_node=12 -a ADDRESS -p 0 -c 1.0 -m None --poll 10 --port=PORT --cert_dir RUN_DIR/aurora-gpu/certificates --logdir=RUN_DIR/aurora-gpu --logconf=None --block_id=0 --hb_period=15 --hb_threshold=120 --drain_period=1620 --cpu-affinity list:1-8,105-112:9-16,113-120:17-24,121-128:25-32,129-136:33-40,137-144:41-48,145-152:53-60,157-164:61-68,165-172:69-76,173-180:77-84,181-188:85-92,189-196:93-100,197-204 --mpi-launcher=mpiexec --available-accelerators 0.0 0.1 1.0 1.1 2.0 2.1 3.0 3.1 4.0 4.1 5.0 5.1
)
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
mpiexec -n "$HOSTS" --hostfile "$HOSTFILE" --ppn 1 --cpu-bind none --no-abort-on-failure /bin/bash "$NODE_SCRIPT" || CODE=$?
[ $CODE -eq 0 ] || echo "relay-parsl: a manager failed or could not be started: exit code $CODE" >&2
echo "all managers have ended"
exit $CODE

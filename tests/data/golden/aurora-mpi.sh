#!/bin/bash
#PBS -N parsl.aurora-mpi.block-0
#PBS -A YOUR_PROJECT
#PBS -q debug-scaling
#PBS -l select=4:ncpus=208
#PBS -l place=scatter
#PBS -l walltime=01:00:00
#PBS -l filesystems=home:flare
#PBS -k doe
#PBS -r n
#PBS -m n
#PBS -o RUN_DIR/submit_scripts/parsl.aurora-mpi.block-0.stdout
#PBS -e RUN_DIR/submit_scripts/parsl.aurora-mpi.block-0.stderr
#PBS -S /bin/bash

[ ${#TMPDIR} -le 40 ] || export TMPDIR=/tmp

module load frameworks
source /path/to/your/environment/bin/activate

export JOBNAME="parsl.aurora-mpi.block-0"
[ ! . -ef "$HOME" ] || cd RUN_DIR/submit_scripts || exit 1

PYTHON -m parsl.executors.high_throughput.process_worker_pool --max_workers_per_node=2 -a ADDRESS -p 0 -c 1e-09 -m None --poll 10 --port=PORT --cert_dir RUN_DIR/aurora-mpi/certificates --logdir=RUN_DIR/aurora-mpi --logconf=None --block_id=0 --hb_period=15 --hb_threshold=120 --drain_period=3240 --cpu-affinity none --enable_mpi_mode --mpi-launcher=mpiexec --available-accelerators

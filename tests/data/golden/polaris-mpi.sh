#!/bin/bash
#PBS -N parsl.polaris-mpi.block-0
#PBS -A YOUR_PROJECT
#PBS -q debug-scaling
#PBS -l select=10:ncpus=64:system=polaris:ngpus=4
#PBS -l place=scatter
#PBS -l walltime=01:00:00
#PBS -l filesystems=home:eagle
#PBS -k doe
#PBS -r n
#PBS -m n
#PBS -o RUN_DIR/submit_scripts/parsl.polaris-mpi.block-0.stdout
#PBS -e RUN_DIR/submit_scripts/parsl.polaris-mpi.block-0.stderr
#PBS -S /bin/bash

[ ${#TMPDIR} -le 40 ] || export TMPDIR=/tmp

module use /soft/modulefiles
module load conda
conda activate YOUR_ENV

export JOBNAME="parsl.polaris-mpi.block-0"
[ ! . -ef "$HOME" ] || cd RUN_DIR/submit_scripts || exit 1

PYTHON -m parsl.executors.high_throughput.process_worker_pool --max_workers_per_node=5 -a ADDRESS -p 0 -c 1e-09 -m None --poll 10 --port=PORT --cert_dir RUN_DIR/polaris-mpi/certificates --logdir=RUN_DIR/polaris-mpi --logconf=None --block_id=0 --hb_period=15 --hb_threshold=120 --drain_period=3240 --cpu-affinity none --enable_mpi_mode --mpi-launcher=mpiexec --available-accelerators

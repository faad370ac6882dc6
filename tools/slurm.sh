#!/bin/sh
# A real SLURM on this machine for a minute: starts munge, slurmctld and slurmd in a scratch folder,
# sends fits through BiocParallel and the package's template, compares them with the serial ones,
# and stops the daemons again. Needs root on Debian, since SLURM changes users.
set -u
cd "$(dirname "$0")/.." || exit 1
[ "$(id -u)" = 0 ] || { echo "make slurm needs root"; exit 1; }
export DEBIAN_FRONTEND=noninteractive
if ! command -v slurmctld >/dev/null || ! command -v slurmd >/dev/null; then
  apt-get update -qq >/dev/null 2>&1
  apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge \
    >/dev/null 2>&1 </dev/null
  command -v slurmctld >/dev/null || { echo "Debian could not install SLURM"; exit 1; }
fi

scratch=$(mktemp -d)
chmod 755 "$scratch"
mkdir "$scratch/state" "$scratch/spool"
stop_daemons() {
  for name in slurmd slurmctld; do
    [ -f "$scratch/$name.pid" ] && kill "$(cat "$scratch/$name.pid")" 2>/dev/null
  done
  [ "${own_munge:-no}" = yes ] && kill "$(cat /run/munge/munged.pid)" 2>/dev/null
  sleep 1
  rm -rf "$scratch"
}
trap stop_daemons EXIT

if ! munge -n 2>/dev/null | unmunge >/dev/null 2>&1; then
  mkdir -p /run/munge
  chown munge:munge /run/munge
  su -s /bin/sh munge -c /usr/sbin/munged && own_munge=yes
fi

host=$(hostname -s)
cat >"$scratch/slurm.conf" <<EOF
ClusterName=mixology
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation=$scratch/state
SlurmdSpoolDir=$scratch/spool
SlurmctldPidFile=$scratch/slurmctld.pid
SlurmdPidFile=$scratch/slurmd.pid
SlurmctldLogFile=$scratch/slurmctld.log
SlurmdLogFile=$scratch/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
ReturnToService=2
SelectType=select/cons_tres
$(slurmd -C | head -n 1 | sed -E 's/ (Boards|SocketsPerBoard|CoresPerSocket|ThreadsPerCore)=[0-9]+//g') NodeAddr=127.0.0.1
PartitionName=local Nodes=$host Default=YES State=UP
EOF
export SLURM_CONF="$scratch/slurm.conf"
slurmctld && slurmd || { cat "$scratch"/*.log; exit 1; }
for attempt in 1 2 3 4 5 6 7 8 9 10; do
  [ "$(timeout 20 srun -n1 hostname 2>/dev/null)" ] && break
  sleep 1
done
sinfo || exit 1
Rscript tools/slurm.R "$scratch"

#!/bin/sh
# A Slurm of this one machine, from Debian's packages (apt-get install slurm-wlm munge): `slurm-one-node.sh start|stop`.
# For root, and for trying things out: no accounting, no cgroups, jobs run as root. CPUS=4 pretends to have four.
set -eu

folder=${SLURM_FOLDER:-/var/tmp/slurm-one-node}
cpus=${CPUS:-$(nproc)}
host=$(hostname -s)

configure() {
    if [ -f /etc/slurm/slurm.conf ] && ! grep -q '^ClusterName=one-node$' /etc/slurm/slurm.conf; then
        echo "/etc/slurm/slurm.conf is that of another cluster, and is left alone" >&2
        exit 1
    fi
    mkdir -p "$folder/state" "$folder/spool"
    cat > /etc/slurm/slurm.conf <<CONF
ClusterName=one-node
SlurmctldHost=$host
AuthType=auth/munge
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
JobRequeue=1
KillWait=20
MinJobAge=60
NodeName=$host CPUs=$cpus State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
}

start() {
    configure
    mkdir -p /run/munge /var/log/munge
    chown munge: /run/munge /var/log/munge
    munge -n > /dev/null 2>&1 || runuser -u munge -- /usr/sbin/munged
    slurmctld
    slurmd
    for second in $(seq 60); do
        [ "$(sinfo --noheader --format=%T 2> /dev/null)" = idle ] && { sinfo; return; }
        sleep 1
    done
    sinfo
    echo "the node is not idle after a minute; see $folder/*.log" >&2
    exit 1
}

stop() {
    scancel --user="$(id -un)" 2> /dev/null || true
    for daemon in slurmd slurmctld; do
        [ -f "$folder/$daemon.pid" ] && kill "$(cat "$folder/$daemon.pid")" || true
    done
    [ -f /run/munge/munged.pid ] && kill "$(cat /run/munge/munged.pid)" || true
}

case "${1:-}" in
    start | stop) "$1" ;;
    *) echo "usage: $0 start|stop" >&2; exit 2 ;;
esac

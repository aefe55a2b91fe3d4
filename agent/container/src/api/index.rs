//! What the API has, for people who look at `/api/`.

/// The endpoints, in lines.
pub const INDEX: &str = "\
cAdvisor's API. Answers are JSON; times are RFC 3339, CPU time is in nanoseconds, sizes are in bytes.
PATH is a cgroup such as / or /docker/ID; NAME is a container's name, its id or the beginning of it.

/api/v1.0/containers/PATH       one cgroup: its spec, those right below it, its last readings
/api/v1.0/machine               the machine: CPUs, memory, disks, interfaces
/api/v1.1/subcontainers/PATH    a cgroup and all below it
/api/v1.2/docker/NAME           one container; without NAME all of them
/api/v1.3/events/PATH           what happened: creation, deletion, oom, oomKill
    Each version has the endpoints of those before it, so v1.3 has all. Readings are chosen by the JSON of a POST or
    by parameters: num_stats (60; -1 for all), start, end. Events by: max_events (10), start_time, end_time,
    subcontainers, creation_events, deletion_events, oom_events, oom_kill_events, all_events, and stream=true for those
    to come, a line each.

/api/v2.1/version               this agent's version
/api/v2.1/attributes            the machine and its software
/api/v2.1/machine               as in version 1
/api/v2.1/machinestats          the last readings of the machine
/api/v2.1/stats/PATH            spec and last readings, with cpu_inst in billionths of a CPU
/api/v2.1/summary/PATH          latest use, and percentiles of the last minute
/api/v2.1/spec/PATH             limits, names, labels, image
/api/v2.1/ps/PATH               processes
/api/v2.1/storage               file systems; label=root or uuid=UUID for one
/api/v2.1/events/PATH           as in version 1.3
    v2.0 has the same, its own form of stats, and no machinestats. Parameters: type=name for a PATH or type=docker for
    a NAME, count (64), recursive, max_age (such as 500ms: read anew if the last reading is older).

Readings are kept while somebody asks: the first answer has one, and a minute after the last question they are
forgotten.
";

//! Flags that are understood though nothing here takes them: of node_exporter's collectors that this agent lacks, and
//! of cAdvisor. Who swaps the binary keeps the command line.

use agent_node::FlagSpec;

/// All of node_exporter's collectors for Linux. Those that are here are ours, the others foreign.
const COLLECTORS: &[&str] = &[
    "arp",
    "bcache",
    "bcachefs",
    "bonding",
    "btrfs",
    "buddyinfo",
    "cgroups",
    "conntrack",
    "cpu",
    "cpu_vulnerabilities",
    "cpufreq",
    "diskstats",
    "dmi",
    "dmmultipath",
    "drbd",
    "drm",
    "edac",
    "entropy",
    "ethtool",
    "fibrechannel",
    "filefd",
    "filesystem",
    "hwmon",
    "infiniband",
    "interrupts",
    "ipvs",
    "kernel_hung",
    "ksmd",
    "lnstat",
    "loadavg",
    "logind",
    "mdadm",
    "meminfo",
    "meminfo_numa",
    "mountstats",
    "netclass",
    "netdev",
    "netstat",
    "network_route",
    "nfs",
    "nfsd",
    "ntp",
    "nvme",
    "nvmesubsystem",
    "os",
    "pcidevice",
    "perf",
    "powersupplyclass",
    "pressure",
    "processes",
    "qdisc",
    "rapl",
    "runit",
    "schedstat",
    "selinux",
    "slabinfo",
    "sockstat",
    "softirqs",
    "softnet",
    "stat",
    "supervisord",
    "swap",
    "sysctl",
    "systemd",
    "tapestats",
    "tcpstat",
    "textfile",
    "thermal_zone",
    "time",
    "timex",
    "udp_queues",
    "uname",
    "vmstat",
    "watchdog",
    "wifi",
    "xfrm",
    "xfs",
    "zfs",
    "zoneinfo",
];

/// Families of flags that go by another name than their collector.
const OTHER_PREFIXES: &[&str] = &["netclass_rtnl"];

/// Flags of collectors that are here, for node_exporter's own tests.
const OF_TESTS: &[&str] = &["qdisc.fixtures", "wifi.fixtures"];

/// cAdvisor's switches without effect.
pub const CADVISOR_SWITCHES: &[&str] = &[
    "allow_dynamic_housekeeping",
    "alsologtostderr",
    "docker-tls",
    "log_cadvisor_usage",
    "logtostderr",
    "one_output",
    "profiling",
    "skip_headers",
    "skip_log_headers",
    "storage_driver_es_enable_sniffer",
    "storage_driver_kafka_ssl_verify",
    "storage_driver_secure",
    "add_dir_header",
];

/// cAdvisor's flags with a value and without effect.
pub const CADVISOR_VALUES: &[&str] = &[
    "application_metrics_count_limit",
    "boot_id_file",
    "bq_account",
    "bq_credentials_file",
    "bq_id",
    "bq_project_id",
    "bq_secret",
    "collector_cert",
    "collector_key",
    "container_hints",
    "docker-tls-ca",
    "docker-tls-cert",
    "docker-tls-key",
    "docker_root",
    "event_storage_age_limit",
    "event_storage_event_limit",
    "global_housekeeping_interval",
    "http_auth_realm",
    "http_digest_realm",
    "initial_splay_factor",
    "jitter_factor",
    "log_backtrace_at",
    "log_dir",
    "log_file",
    "log_file_max_size",
    "machine_id_file",
    "max_housekeeping_interval",
    "max_procs",
    "stderrthreshold",
    "storage_driver",
    "storage_driver_buffer_duration",
    "storage_driver_db",
    "storage_driver_es_host",
    "storage_driver_es_index",
    "storage_driver_es_type",
    "storage_driver_host",
    "storage_driver_influxdb_retention_policy",
    "storage_driver_kafka_broker_list",
    "storage_driver_kafka_ssl_ca",
    "storage_driver_kafka_ssl_cert",
    "storage_driver_kafka_ssl_key",
    "storage_driver_kafka_topic",
    "storage_driver_password",
    "storage_driver_table",
    "storage_driver_user",
    "update_machine_info_interval",
    "url_base_prefix",
    "v",
    "vmodule",
];

/// Flags that node_exporter or cAdvisor had once, and what to do instead. Those that node_exporter still takes, though
/// it hides them, are their collectors' own. cAdvisor's files of users are here too, though it has them still: to pass
/// them over would leave open what they close.
const REMOVED: &[(&str, &str)] = &[
    ("auth.pass", "put basic_auth_users into the file of --web.config.file"),
    ("auth.user", "put basic_auth_users into the file of --web.config.file"),
    ("collector.attributes", "use --collector.textfile.directory"),
    ("collector.boottime", "node_boot_time_seconds is collector stat's on Linux"),
    ("collector.devstat", "it is BSD's; on Linux use --collector.diskstats"),
    ("collector.exec", "it is BSD's; on Linux use --collector.stat"),
    ("collector.gmond", "Ganglia is no longer asked"),
    ("collector.ipvs.procfs", "use --path.procfs"),
    ("collector.lastlogin", "use --collector.logind"),
    ("collector.megacli", "let storcli write a file for --collector.textfile.directory"),
    ("collector.megacli.command", "let storcli write a file for --collector.textfile.directory"),
    ("collector.netdev.ignored-devices", "use --collector.netdev.device-exclude"),
    ("collector.procfs", "use --path.procfs"),
    ("collector.sysfs", "use --path.sysfs"),
    ("collectors.enabled", "use --collector.disable-defaults with --collector.NAME for each"),
    ("collectors.print", "use --help, which lists them"),
    ("debug.memprofile-file", "no profile is written"),
    ("docker-env-metadata-whitelist", "use --env_metadata_whitelist"),
    ("help-man", "use --help; no manual page is written"),
    ("http_auth_file", "put basic_auth_users into the file of --web.config.file"),
    ("http_digest_file", "put basic_auth_users into the file of --web.config.file"),
    ("web.config", "use --web.config.file"),
];

/// What to do instead of a flag that is gone.
pub fn instead_of(flag: &str) -> Option<&'static str> {
    let flag = flag.trim_start_matches('-').split('=').next().unwrap_or("");
    let flag = flag.strip_prefix("no-").unwrap_or(flag);
    REMOVED.iter().find(|(name, _)| *name == flag).map(|(_, instead)| *instead)
}

/// Takes the flags of collectors that are not here out of a command line, and gives them back beside the rest.
pub fn split(arguments: Vec<String>) -> (Vec<String>, Vec<String>) {
    let (mut ours, mut foreign) = (Vec::new(), Vec::new());
    let mut arguments = arguments.into_iter().peekable();
    while let Some(argument) = arguments.next() {
        match of_foreign_collector(&argument) {
            None => ours.push(argument),
            Some(takes_value) => {
                // `--flag value`: a switch has no dot after the collector's name, and a value no dash before it.
                if takes_value && !argument.contains('=') && arguments.peek().is_some_and(|next| !next.starts_with('-'))
                {
                    arguments.next();
                }
                foreign.push(argument);
            }
        }
    }
    (ours, foreign)
}

/// Whether a collector is here, by its name or by how its flags begin.
fn is_ours(collector: &str) -> bool {
    let begins =
        |flag: &FlagSpec| flag.name.strip_prefix("collector.").is_some_and(|f| f.split('.').next() == Some(collector));
    agent_node::collectors::COLLECTORS.iter().any(|spec| spec.name == collector || spec.flags.iter().any(begins))
}

/// Whether it is a flag of such a collector, and whether it may have a value.
fn of_foreign_collector(argument: &str) -> Option<bool> {
    let name = argument.strip_prefix("--")?;
    let name = name.strip_prefix("no-").unwrap_or(name).strip_prefix("collector.")?;
    let name = name.split('=').next()?;
    let (collector, flag) = name.split_once('.').map_or((name, None), |(collector, flag)| (collector, Some(flag)));
    if OF_TESTS.contains(&name) {
        return Some(true);
    }
    let known = COLLECTORS.contains(&collector) || (flag.is_some() && OTHER_PREFIXES.contains(&collector));
    (known && !is_ours(collector)).then_some(flag.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flag_of_ours_is_foreign() {
        for spec in agent_node::collectors::COLLECTORS {
            let flags = spec.flags.iter().map(|flag| format!("--{}", flag.name));
            for flag in flags.chain([format!("--collector.{}", spec.name), format!("--no-collector.{}", spec.name)]) {
                assert_eq!(of_foreign_collector(&flag), None, "{flag}");
            }
        }
    }

    #[test]
    fn foreign_flags_are_taken_out_with_their_values() {
        let line = "--collector.loadavg --no-collector.drbd --collector.supervisord.url u --collector.runit \
                    --collector.netclass_rtnl.with-stats=true --collector.ntp.server 0 \
                    --collector.wifi.fixtures=w --collector.qdisc.fixtures q --path.procfs /p";
        let (ours, foreign) = split(line.split_ascii_whitespace().map(str::to_owned).collect());
        assert_eq!(ours.join(" "), "--collector.loadavg --path.procfs /p");
        assert_eq!(foreign.len(), 7);
    }
}

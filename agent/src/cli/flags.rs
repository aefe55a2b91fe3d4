//! The flags: node_exporter's own names for the node side and the web, cAdvisor's for the container side.

use std::time::Duration;

use agent_node::collectors::COLLECTORS;
use agent_node::{FlagKind, FlagSpec};
use atalaia_agent::CONTAINER;
use clap::builder::{PossibleValuesParser, TypedValueParser as _, ValueParser};
use clap::{Arg, ArgAction, Command};

use super::foreign::{CADVISOR_SWITCHES, CADVISOR_VALUES};
use crate::top::Order;

const WEB: &str = "Web";
const PATHS: &str = "Paths";
const NODE: &str = "Node collectors (--no-collector.NAME turns one off)";
const CONTAINERS: &str = "Containers";
const LOG: &str = "Log";

/// All flags.
pub fn command() -> Command {
    let mut flags = Vec::new();
    flags.extend(web());
    flags.extend(paths());
    flags.extend(node());
    flags.extend(containers());
    flags.extend(super::push::flags());
    flags.extend(log());
    Command::new("atalaia-agent")
        .about("Node and container metrics of one machine on one page, under the names of node_exporter and cAdvisor.")
        .disable_help_flag(true)
        .args(flags)
}

/// The flags of `atalaia-agent top`.
pub fn top() -> Command {
    let mut args = vec![
        value("interval", "DURATION", "How often to look.")
            .default_value("2s")
            .value_parser(ValueParser::new(at_least_a_tenth)),
        value("sort", "COLUMN", "What comes first.").default_value("cpu").value_parser(
            PossibleValuesParser::new(Order::ALL.map(Order::name)).map(|name| Order::of(&name).unwrap_or_default()),
        ),
        value("filter", "TEXT", "Only names and images that hold this.").default_value(""),
        go_switch("once", "Print one table and leave."),
        go_switch("all", "All cgroups, not only containers."),
    ];
    args.extend(containers().into_iter().filter(|arg| TOP.contains(&arg.get_id().as_str())));
    args.extend(paths());
    args.extend(log().into_iter().filter(|arg| matches!(arg.get_id().as_str(), "help" | "help-long" | "version")));
    // They have defaults that are asked for.
    args.extend(containers().into_iter().filter(|arg| !TOP.contains(&arg.get_id().as_str())).map(|arg| arg.hide(true)));
    Command::new("atalaia-agent top")
        .about("What this machine and its containers do, live in the terminal; needs no agent that runs.")
        .disable_help_flag(true)
        .args(args)
}

/// Flags of the container side that change what `top` shows.
const TOP: &[&str] = &[
    "docker",
    "podman",
    "containerd",
    "containerd-namespace",
    "crio",
    "crio_client_timeout",
    "docker_only",
    "raw_cgroup_prefix_whitelist",
];

fn web() -> Vec<Arg> {
    let in_web = |arg: Arg| arg.help_heading(WEB);
    let mut args = vec![
        repeated(
            "web.listen-address",
            "ADDRESS",
            "Where to serve the node page: HOST:PORT, :PORT or unix:/PATH; again for more.",
        )
        .default_value(":9100"),
        value("web.telemetry-path", "PATH", "The path of the node page.").default_value("/metrics"),
        repeated(
            "web.container-listen-address",
            "ADDRESS",
            "Where to serve container metrics on a page of their own, such as :8080; again for more. \
             Without it they are on the node page.",
        ),
        value("web.max-requests", "N", "Requests for metrics at the same time; 0 for any number.")
            .default_value("40")
            .value_parser(clap::value_parser!(u32)),
        value(
            "web.config.file",
            "FILE",
            "TLS, client certificates, users, headers and a rate, as exporter-toolkit's file has them.",
        )
        .default_value(""),
        value("runtime.gomaxprocs", "N", "Without effect.").hide(true),
    ];
    args.extend(switch("web.disable-exporter-metrics", "Leave process_* and promhttp_* out."));
    args.extend(switch("web.disable-api", "Leave out cAdvisor's API, its pages and /validate."));
    args.extend(switch("web.systemd-socket", "Take the sockets that systemd passes instead of --web.listen-address."));
    args.extend(switch("web.enable-lifecycle", "Let POST and PUT /-/reload read the web configuration again."));
    args.into_iter().map(in_web).collect()
}

fn paths() -> Vec<Arg> {
    [
        ("path.procfs", "/proc", "Where procfs is."),
        ("path.sysfs", "/sys", "Where sysfs is."),
        ("path.rootfs", "/", "Where the machine's root is, put before mount points and left out of labels."),
        ("path.udev.data", "/run/udev/data", "Where udev's data is."),
    ]
    .map(|(name, default, help)| value(name, "PATH", help).default_value(default).help_heading(PATHS))
    .into()
}

fn node() -> Vec<Arg> {
    let mut args: Vec<Arg> =
        switch("collector.disable-defaults", "Only the collectors that are named here run.").into();
    for spec in COLLECTORS {
        let on = if spec.default_on { "on" } else { "off" };
        args.extend(switch(keep(format!("collector.{}", spec.name)), keep(format!("{} [default: {on}]", spec.help))));
        args.extend(spec.flags.iter().flat_map(of_collector));
    }
    args.into_iter().map(|arg| arg.help_heading(NODE)).collect()
}

fn of_collector(flag: &FlagSpec) -> Vec<Arg> {
    let args = match flag.kind {
        FlagKind::Switch => switch(flag.name, flag.help).into(),
        FlagKind::Value => vec![value(flag.name, "VALUE", flag.help)],
        FlagKind::Repeated => vec![repeated(flag.name, "VALUE", flag.help)],
    };
    let described = |arg: Arg| match flag.default {
        // The collector knows its default; this only shows it.
        Some(default) if !default.is_empty() && flag.kind != FlagKind::Switch => {
            arg.help(keep(format!("{} [default: {default}]", flag.help)))
        }
        _ => arg,
    };
    args.into_iter().map(described).map(|arg| if flag.hidden { arg.hide(true) } else { arg }).collect()
}

fn containers() -> Vec<Arg> {
    let mut args = vec![
        value("docker", "ADDRESS", "Docker's address; empty for none.").default_value("unix:///var/run/docker.sock"),
        value(
            "container.stopped-for",
            "DURATION",
            "For how long containers that stopped are told of; 0 for not at all.",
        )
        .default_value("10m")
        .value_parser(ValueParser::new(duration)),
        value("podman", "ADDRESS", "Podman's address; empty for none, nor those of users without root.")
            .default_value("unix:///var/run/podman/podman.sock"),
        value("containerd", "SOCKET", "containerd's socket; empty for none.")
            .default_value("/run/containerd/containerd.sock"),
        value("containerd-namespace", "NAMES", "containerd's namespaces to look into, separated by commas; * for all.")
            .default_value("k8s.io"),
        value("crio", "SOCKET", "CRI-O's socket; empty for none.").default_value("/var/run/crio/crio.sock"),
        value("crio_client_timeout", "DURATION", "How long an answer of CRI-O may take; 0 for ten seconds.")
            .default_value("0")
            .value_parser(ValueParser::new(duration)),
        list("disable_metrics", "Sets of metrics to leave out."),
        list("enable_metrics", "The only sets of metrics to collect."),
        list("whitelisted_container_labels", "The only labels to store, with --store_container_labels=false."),
        list("raw_cgroup_prefix_whitelist", "Of the cgroups that are no containers only those with these prefixes."),
        list("env_metadata_whitelist", "Variables of containers whose names begin so become labels."),
        list("docker_env_metadata_whitelist", "As --env_metadata_whitelist.").hide(true),
        list("containerd_env_metadata_whitelist", "As --env_metadata_whitelist.").hide(true),
        repeated(
            "container.rename-label",
            "FROM=TO",
            "Give a label of containers another name, such as com.docker.compose.service=service; again for more.",
        ),
        value("container.series-limit", "N", "Series of one container at most; 0 for any number.")
            .default_value("10000")
            .value_parser(clap::value_parser!(u32)),
        value(
            "referenced_reset_interval",
            "N",
            "Clear the marks of referenced memory after every N-th look; 0 for never.",
        )
        .default_value("0")
        .value_parser(clap::value_parser!(u64)),
        value(
            "resctrl_interval",
            "DURATION",
            "How often to put tasks that came later into groups of --container.resctrl-groups; 0 for never.",
        )
        .default_value("0")
        .value_parser(ValueParser::new(duration)),
        value(
            "perf_events_config",
            "FILE",
            "Events of CPUs and kernel to count for each container, in cAdvisor's JSON; needs CAP_PERFMON.",
        ),
        value("compat", "WORD", "Reproduce the faults of another's metrics.")
            .value_parser(PossibleValuesParser::new(["cadvisor"])),
        value("prometheus_endpoint", "PATH", "The path of the container page.").default_value("/metrics"),
        value("housekeeping_interval", "DURATION", "How often to read containers while someone uses the API or pages.")
            .default_value("1s")
            .value_parser(ValueParser::new(at_least_a_tenth)),
        value(
            "storage_duration",
            "DURATION",
            "How long to keep these readings; forgotten a minute after the last use.",
        )
        .default_value("2m")
        .value_parser(ValueParser::new(at_least_a_tenth)),
        value("port", "PORT", "As --web.container-listen-address=LISTEN_IP:PORT.").hide(true),
        value("listen_ip", "IP", "See --port.").default_value("").hide(true),
    ];
    args.extend(switch(keep(format!("collector.{CONTAINER}")), "Container metrics [default: on]"));
    args.push(go_switch("docker_only", "Only containers and the root, no slices, services and scopes."));
    args.push(go_switch("store_container_labels", "Store all labels of containers.").default_value("true"));
    args.push(go_switch("disable_root_cgroup_stats", "Leave the root cgroup out."));
    args.push(go_switch(
        "container.resctrl-groups",
        "With the set resctrl, make a monitoring group for each container; writes to /sys/fs/resctrl.",
    ));
    args.push(go_switch("enable_load_reader", "Look at all tasks for their states."));
    args.extend(CADVISOR_SWITCHES.iter().map(|name| go_switch(name, "Without effect.").hide(true)));
    args.extend(CADVISOR_VALUES.iter().map(|name| value(name, "VALUE", "Without effect.").hide(true)));
    args.into_iter().map(|arg| arg.help_heading(CONTAINERS)).collect()
}

fn log() -> Vec<Arg> {
    let one_of = |name, values: [&'static str; _], help| {
        let values: Vec<_> = values.into();
        value(name, "WORD", help).value_parser(PossibleValuesParser::new(values)).ignore_case(true)
    };
    vec![
        one_of("log.level", ["debug", "info", "warn", "error"], "From which level on to log.")
            .default_value("info")
            .help_heading(LOG),
        value("log.format", "WORD", "How log lines look.")
            .value_parser(PossibleValuesParser::new(["logfmt", "json"]))
            .default_value("logfmt")
            .help_heading(LOG),
        Arg::new("version").long("version").action(ArgAction::SetTrue).help("Print the version and leave."),
        Arg::new("help").long("help").short('h').action(ArgAction::Help).help("Print this and leave."),
        Arg::new("help-long").long("help-long").action(ArgAction::Help).hide(true),
    ]
}

pub(super) fn value(name: &'static str, of: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(of).help(help).action(ArgAction::Set).overrides_with(name)
}

pub(super) fn repeated(name: &'static str, of: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(of).help(help).action(ArgAction::Append)
}

/// Names separated by commas.
fn list(name: &'static str, help: &'static str) -> Arg {
    value(name, "NAMES", help).default_value("")
}

/// `--NAME` and `--no-NAME`, as node_exporter's switches; `--NAME=false` too.
fn switch(name: &'static str, help: &'static str) -> [Arg; 2] {
    let off = keep(format!("no-{name}"));
    [
        go_switch(name, help).overrides_with(off),
        Arg::new(off).long(off).action(ArgAction::SetTrue).hide(true).overrides_with(name),
    ]
}

/// `--NAME` and `--NAME=false`, as cAdvisor's switches.
fn go_switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .help(help)
        .action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .value_name("true|false")
        .hide_possible_values(true)
        .value_parser(ValueParser::new(go_bool))
        .overrides_with(name)
}

/// A duration of a tenth of a second to a day, as Go writes it.
fn at_least_a_tenth(text: &str) -> Result<Duration, &'static str> {
    let right = "expected a duration from 100ms to 24h, such as 10s or 2m";
    let duration = agent_procfs::duration::parse(text).ok_or(right)?;
    let bounds = Duration::from_millis(100)..=Duration::from_secs(86_400);
    if bounds.contains(&duration) { Ok(duration) } else { Err(right) }
}

/// A length of time as Go writes it.
fn duration(text: &str) -> Result<Duration, &'static str> {
    agent_procfs::duration::parse(text).ok_or("expected a duration such as 10m or 1h30m")
}

/// What Go's `strconv.ParseBool` takes.
fn go_bool(text: &str) -> Result<bool, &'static str> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("expected true or false"),
    }
}

/// The command lives as long as the process, so its words may.
fn keep(text: String) -> &'static str {
    text.leak()
}

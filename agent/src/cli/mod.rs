//! From arguments to checked settings.

mod flags;
mod foreign;
mod mistake;
mod push;

use std::collections::BTreeSet;
use std::error::Error;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agent_container::{Compat, Config as Containers, LabelPolicy, PerfEvents, Quirk, Renames, Sets};
use agent_node::collectors::COLLECTORS;
use agent_node::{FlagKind, Flags};
use agent_procfs::Root;
use atalaia_agent::{CONTAINER, Settings, log};
use clap::ArgMatches;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use tracing_subscriber::filter::LevelFilter;

pub use self::mistake::FlagError;
use self::mistake::{explain, wrong};
use crate::top;

/// What the command line asks for.
pub enum Command {
    /// To run.
    Run(Box<Options>),
    /// To print this and end well.
    Print(String),
    /// To ask the agent that runs with these settings whether it is alive.
    Health(Box<Settings>),
    /// To show what runs here in the terminal.
    Top(Box<top::Options>),
}

/// How to run.
pub struct Options {
    pub settings: Settings,
    /// Whether systemd has opened the sockets.
    pub systemd_socket: bool,
    pub log_level: LevelFilter,
    pub log_format: log::Format,
    /// Flags that were given, are known and do nothing.
    pub ignored: Vec<String>,
}

/// Reads a command line without the program's name.
///
/// # Errors
/// With one line that names the flag and what would be right.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Command, FlagError> {
    let mut words = Vec::new();
    for argument in arguments {
        match argument.into_string() {
            Ok(word) => words.push(two_dashes(word)),
            Err(raw) => return wrong(format!("argument {raw:?} is not UTF-8")),
        }
    }
    // The one word that is no flag; the flags after it are those of the agent that is asked.
    let verb = words.first().filter(|word| matches!(word.as_str(), "health" | "top")).cloned();
    if verb.is_some() {
        words.remove(0);
    }
    let (health, is_top) = (verb.as_deref() == Some("health"), verb.as_deref() == Some("top"));
    let (words, mut ignored) = foreign::split(words);
    let command = if is_top { flags::top() } else { flags::command() }.no_binary_name(true);
    let matches = match command.try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            let help = error.render();
            let is_coloured = log::takes_colours(&std::io::stdout());
            return Ok(Command::Print(if is_coloured { help.ansi().to_string() } else { help.to_string() }));
        }
        Err(error) => return wrong(explain(&error)),
    };
    if matches.get_flag("version") {
        return Ok(Command::Print(format!("atalaia-agent, version {}\n", atalaia_agent::version())));
    }
    if is_top {
        return Ok(Command::Top(Box::new(top_options(&matches)?)));
    }
    let settings = settings(&matches)?;
    if health {
        return Ok(Command::Health(Box::new(settings)));
    }
    ignored.extend(without_effect(&matches));
    let (log_level, log_format) = log_choice(&matches);
    let systemd_socket = switch(&matches, "web.systemd-socket") == Some(true);
    Ok(Command::Run(Box::new(Options { settings, systemd_socket, log_level, log_format, ignored })))
}

/// cAdvisor's flags may be written with one dash.
fn two_dashes(word: String) -> String {
    let long = word.starts_with('-') && !word.starts_with("--") && word != "-" && word != "-h";
    if long { format!("-{word}") } else { word }
}

/// The value of a flag that has a default.
fn text(matches: &ArgMatches, flag: &str) -> String {
    matches.get_one::<String>(flag).cloned().unwrap_or_default()
}

fn texts(matches: &ArgMatches, flag: &str) -> Vec<String> {
    matches.get_many::<String>(flag).map(|values| values.cloned().collect()).unwrap_or_default()
}

/// The value of a duration that has a default.
fn duration(matches: &ArgMatches, flag: &str) -> Duration {
    matches.get_one::<Duration>(flag).copied().unwrap_or_default()
}

/// A switch that was given either way.
fn switch(matches: &ArgMatches, flag: &str) -> Option<bool> {
    match matches.try_get_one::<bool>(&format!("no-{flag}")) {
        Ok(Some(true)) => Some(false),
        _ => matches.get_one::<bool>(flag).copied(),
    }
}

fn is_given(matches: &ArgMatches, flag: &str) -> bool {
    matches.value_source(flag) == Some(ValueSource::CommandLine)
}

fn comma_separated(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

fn settings(matches: &ArgMatches) -> Result<Settings, FlagError> {
    let container_listen = container_addresses(matches)?;
    let root = root(matches);
    let only_named = switch(matches, "collector.disable-defaults") == Some(true);
    let runs =
        |name: &str, by_default| switch(matches, &format!("collector.{name}")).unwrap_or(by_default && !only_named);
    let collectors: BTreeSet<_> =
        COLLECTORS.iter().filter(|spec| runs(spec.name, spec.default_on)).map(|spec| spec.name).collect();
    let containers_run = runs(CONTAINER, true) || (only_named && !container_listen.is_empty());
    if !containers_run && !container_listen.is_empty() {
        return wrong("--web.container-listen-address and --no-collector.container contradict each other: drop one");
    }
    let containers = if containers_run { Some(containers(matches, root.clone())?) } else { None };
    Ok(Settings {
        listen: texts(matches, "web.listen-address"),
        telemetry_path: text(matches, "web.telemetry-path"),
        container_listen,
        container_path: text(matches, "prometheus_endpoint"),
        web_config: Some(text(matches, "web.config.file")).filter(|file| !file.is_empty()).map(Into::into),
        lifecycle: switch(matches, "web.enable-lifecycle") == Some(true),
        max_requests: matches.get_one::<u32>("web.max-requests").map_or(0, |max| *max as usize),
        api: switch(matches, "web.disable-api") != Some(true),
        exporter_metrics: switch(matches, "web.disable-exporter-metrics") != Some(true),
        root,
        collectors,
        flags: collector_flags(matches),
        containers,
        push: push::settings(matches)?,
        ..Settings::default()
    })
}

fn root(matches: &ArgMatches) -> Root {
    Root {
        procfs: text(matches, "path.procfs").into(),
        sysfs: text(matches, "path.sysfs").into(),
        rootfs: text(matches, "path.rootfs").into(),
        udev_data: text(matches, "path.udev.data").into(),
    }
}

fn top_options(matches: &ArgMatches) -> Result<top::Options, FlagError> {
    Ok(top::Options {
        containers: containers(matches, root(matches))?,
        once: switch(matches, "once") == Some(true),
        interval: duration(matches, "interval"),
        order: matches.get_one::<top::Order>("sort").copied().unwrap_or_default(),
        filter: text(matches, "filter"),
        all: switch(matches, "all") == Some(true),
    })
}

/// Ours, or cAdvisor's `--listen_ip` and `--port`.
fn container_addresses(matches: &ArgMatches) -> Result<Vec<String>, FlagError> {
    let mut addresses = texts(matches, "web.container-listen-address");
    if let Some(port) = matches.get_one::<String>("port") {
        if !addresses.is_empty() {
            return wrong(format!("--port={port} says again what --web.container-listen-address says: drop one"));
        }
        addresses.push(format!("{}:{port}", text(matches, "listen_ip")));
    }
    Ok(addresses)
}

fn containers(matches: &ArgMatches, root: Root) -> Result<Containers, FlagError> {
    let compat = if is_given(matches, "compat") { Compat::cadvisor() } else { Compat::default() };
    let (disabled, enabled) = (text(matches, "disable_metrics"), text(matches, "enable_metrics"));
    let sets = match compat.has(Quirk::DisableReplaces) {
        true => Sets::as_cadvisor(is_given(matches, "disable_metrics").then_some(disabled.as_str()), &enabled),
        false => Sets::from_flags(&disabled, &enabled),
    };
    let sets = sets.map_err(|error| FlagError::new(format!("--disable_metrics or --enable_metrics: {error}")))?;
    let perf_events = match matches.get_one::<String>("perf_events_config").filter(|file| !file.is_empty()) {
        None => PerfEvents::default(),
        Some(file) => PerfEvents::load(Path::new(file), &root).map_err(|error| {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            FlagError::new(format!("--perf_events_config: {error}{cause}"))
        })?,
    };
    let address = |flag| Some(text(matches, flag)).filter(|address| !address.is_empty());
    let renames = Renames::parse(texts(matches, "container.rename-label").iter().map(String::as_str));
    let renames = renames.map_err(|error| FlagError::new(format!("--container.rename-label: {error}")))?;
    let variables = ["env_metadata_whitelist", "docker_env_metadata_whitelist", "containerd_env_metadata_whitelist"];
    let variables = variables.iter().flat_map(|flag| comma_separated(&text(matches, flag))).collect();
    Ok(Containers {
        root,
        docker: address("docker"),
        podman: address("podman"),
        containerd: address("containerd"),
        crio: address("crio"),
        crio_timeout: duration(matches, "crio_client_timeout"),
        containerd_namespaces: comma_separated(&text(matches, "containerd-namespace")),
        stopped_for: duration(matches, "container.stopped-for"),
        docker_only: switch(matches, "docker_only") == Some(true),
        raw_cgroup_prefixes: comma_separated(&text(matches, "raw_cgroup_prefix_whitelist")),
        disable_root: switch(matches, "disable_root_cgroup_stats") == Some(true),
        labels: LabelPolicy {
            store_all: switch(matches, "store_container_labels") != Some(false),
            allowed: comma_separated(&text(matches, "whitelisted_container_labels")),
            variables,
            renames,
        },
        sets,
        housekeeping_interval: duration(matches, "housekeeping_interval"),
        storage_duration: duration(matches, "storage_duration"),
        series_limit: matches.get_one::<u32>("container.series-limit").copied().unwrap_or(0),
        load_reader: switch(matches, "enable_load_reader") == Some(true),
        referenced_reset_interval: matches.get_one::<u64>("referenced_reset_interval").copied().unwrap_or(0),
        resctrl_groups: switch(matches, "container.resctrl-groups") == Some(true),
        resctrl_interval: duration(matches, "resctrl_interval"),
        perf_events: Arc::new(perf_events),
        compat,
        revision: atalaia_agent::revision().to_owned(),
        ..Containers::default()
    })
}

/// The collectors' own flags, those alone that were given.
fn collector_flags(matches: &ArgMatches) -> Flags {
    let mut flags = Flags::default();
    for flag in COLLECTORS.iter().flat_map(|spec| spec.flags) {
        if flag.kind == FlagKind::Switch {
            if let Some(on) = switch(matches, flag.name) {
                flags.push(flag.name, if on { "true" } else { "false" });
            }
            continue;
        }
        for value in texts(matches, flag.name) {
            flags.push(flag.name, value);
        }
    }
    flags
}

fn without_effect(matches: &ArgMatches) -> impl Iterator<Item = String> {
    let all = foreign::CADVISOR_SWITCHES.iter().chain(foreign::CADVISOR_VALUES).chain(&["runtime.gomaxprocs"]);
    all.filter(|flag| is_given(matches, flag)).map(|flag| format!("--{flag}"))
}

fn log_choice(matches: &ArgMatches) -> (LevelFilter, log::Format) {
    let level = match text(matches, "log.level").to_ascii_lowercase().as_str() {
        "debug" => LevelFilter::DEBUG,
        "warn" => LevelFilter::WARN,
        "error" => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    };
    let format = if text(matches, "log.format") == "json" { log::Format::Json } else { log::Format::Logfmt };
    (level, format)
}

#[cfg(test)]
mod tests {
    use agent_container::Set;

    use super::*;

    fn run(line: &str) -> Result<Options, String> {
        match parse(line.split_ascii_whitespace().map(OsString::from)) {
            Ok(Command::Run(options)) => Ok(*options),
            Ok(Command::Print(text)) => Err(text),
            Ok(Command::Health(_)) => Err("health".to_owned()),
            Ok(Command::Top(options)) => Err(format!("top {:?} {:?}", options.order, options.interval)),
            Err(error) => Err(error.to_string()),
        }
    }

    #[track_caller]
    fn ok(line: &str) -> Options {
        run(line).map_err(|error| format!("{line}: {error}")).unwrap()
    }

    #[track_caller]
    fn refused(line: &str, want: &str) {
        let error = run(line).map(|_| ()).unwrap_err();
        assert!(error.contains(want), "{line}: {error}");
        assert_eq!(error.lines().count(), 1, "{line}: {error}");
    }

    #[test]
    fn defaults_are_the_librarys() {
        let (ours, theirs) = (ok("").settings, Settings::default());
        assert_eq!(ours.listen, theirs.listen);
        assert_eq!(ours.telemetry_path, theirs.telemetry_path);
        assert_eq!(ours.container_listen, theirs.container_listen);
        assert_eq!(ours.container_path, theirs.container_path);
        assert_eq!(ours.max_requests, theirs.max_requests);
        assert_eq!(ours.api, theirs.api);
        assert_eq!(ours.exporter_metrics, theirs.exporter_metrics);
        assert_eq!(ours.root, theirs.root);
        assert_eq!(ours.collectors, theirs.collectors);
        let (ours, theirs) = (ours.containers.unwrap(), Containers::default());
        assert_eq!((ours.docker, ours.podman), (theirs.docker, theirs.podman));
        assert_eq!((ours.containerd, ours.crio), (theirs.containerd, theirs.crio));
        assert_eq!(ours.crio_timeout, theirs.crio_timeout);
        assert_eq!(ours.containerd_namespaces, theirs.containerd_namespaces);
        assert_eq!(ours.stopped_for, theirs.stopped_for);
        assert!(ok("").ignored.is_empty());
    }

    #[test]
    fn values_come_with_a_blank_or_an_equals_sign() {
        let settings = ok("--web.listen-address=:1 --web.listen-address 127.0.0.1:2 --path.procfs /p").settings;
        assert_eq!(settings.listen, [":1", "127.0.0.1:2"]);
        assert_eq!(settings.root.procfs.to_str(), Some("/p"));
    }

    #[test]
    fn collectors_are_switched() {
        assert!(!ok("--no-collector.loadavg").settings.collectors.contains("loadavg"));
        assert!(ok("--no-collector.loadavg --collector.loadavg").settings.collectors.contains("loadavg"));
        assert!(!ok("--collector.loadavg --no-collector.loadavg").settings.collectors.contains("loadavg"));
        let alone = ok("--collector.loadavg --collector.disable-defaults").settings;
        assert_eq!(alone.collectors, BTreeSet::from(["loadavg"]));
        assert!(alone.containers.is_none());
        assert!(ok("--collector.disable-defaults --collector.container").settings.containers.is_some());
        assert!(ok("--collector.disable-defaults --port=8080").settings.containers.is_some());
        assert!(ok("--no-collector.container").settings.containers.is_none());
    }

    #[test]
    fn flags_of_collectors_reach_them() {
        let value = |line: &str, flag: &str| ok(line).settings.flags.all(flag).to_vec();
        for flag in COLLECTORS.iter().flat_map(|spec| spec.flags) {
            match flag.kind {
                FlagKind::Switch => {
                    assert_eq!(value(&format!("--{}", flag.name), flag.name), ["true"]);
                    assert_eq!(value(&format!("--no-{}", flag.name), flag.name), ["false"]);
                }
                FlagKind::Value => assert_eq!(value(&format!("--{}=x", flag.name), flag.name), ["x"]),
                FlagKind::Repeated => {
                    assert_eq!(value(&format!("--{0}=x --{0} y", flag.name), flag.name), ["x", "y"]);
                }
            }
            assert!(ok("").settings.flags.get(flag.name).is_none());
        }
    }

    #[test]
    fn cadvisors_command_line_is_understood() {
        let options =
            ok("-docker_only -logtostderr=true -storage_driver_kafka_ssl_verify --housekeeping_interval=10s --v=2 \
             --store_container_labels=false --whitelisted_container_labels=a,b --disable_metrics=disk,tcp \
             --raw_cgroup_prefix_whitelist=/system.slice --port=0 --listen_ip=127.0.0.1 --docker= \
             --podman=unix:///p.sock --containerd=/c.sock --containerd-namespace=default,moby \
             --crio_client_timeout=2s");
        let containers = options.settings.containers.unwrap();
        assert!(containers.docker_only);
        assert!(!containers.labels.store_all);
        assert_eq!(containers.labels.allowed, ["a", "b"]);
        assert_eq!(containers.raw_cgroup_prefixes, ["/system.slice"]);
        assert_eq!(containers.docker, None);
        assert_eq!(containers.podman.as_deref(), Some("unix:///p.sock"));
        assert_eq!(containers.containerd.as_deref(), Some("/c.sock"));
        assert_eq!(containers.containerd_namespaces, ["default", "moby"]);
        assert_eq!(containers.crio_timeout, Duration::from_secs(2));
        assert_eq!(options.settings.container_listen, ["127.0.0.1:0"]);
        assert_eq!(containers.housekeeping_interval, Duration::from_secs(10));
        assert_eq!(containers.storage_duration, Duration::from_secs(120));
        assert_eq!(options.ignored, ["--logtostderr", "--storage_driver_kafka_ssl_verify", "--v"]);
    }

    #[test]
    fn policies_of_containers() {
        let containers = |line: &str| ok(line).settings.containers.unwrap();
        let defaults = containers("");
        assert_eq!((defaults.series_limit, defaults.compat), (10_000, Compat::default()));
        assert_eq!(defaults.sets, Sets::default());
        let given = containers(
            "--env_metadata_whitelist=A_,B --docker_env_metadata_whitelist=C --containerd_env_metadata_whitelist=D \
             --container.series-limit=7 \
             --container.rename-label=tier=zone --container.rename-label name=container --enable_load_reader \
             --referenced_reset_interval=5 --container.resctrl-groups --resctrl_interval=30s",
        );
        assert_eq!(given.labels.variables, ["A_", "B", "C", "D"]);
        assert_eq!(given.labels.renames, Renames::parse(["tier=zone", "name=container"]).unwrap());
        assert_eq!((defaults.resctrl_groups, defaults.resctrl_interval), (false, Duration::ZERO));
        assert_eq!((given.resctrl_groups, given.resctrl_interval), (true, Duration::from_secs(30)));
        assert_eq!((given.series_limit, given.load_reader, given.referenced_reset_interval), (7, true, 5));
    }

    #[test]
    fn events_are_read_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("perf.json");
        let line = format!("--perf_events_config={}", path.display());
        assert_eq!(*ok("").settings.containers.unwrap().perf_events, PerfEvents::default());
        refused(&line, "perf.json: No such file or directory");
        std::fs::write(&path, r#"{"core": {"events": ["page-faults", "no-such"]}}"#).unwrap();
        refused(&line, "perf.json: core.events[1]: unknown event \"no-such\"");
        std::fs::write(&path, r#"{"core": {"events": ["page-faults"]}}"#).unwrap();
        assert_ne!(*ok(&line).settings.containers.unwrap().perf_events, PerfEvents::default());
    }

    #[test]
    fn sets_as_cadvisor_has_them() {
        let sets = |line: &str| ok(line).settings.containers.unwrap().sets;
        assert_eq!(sets("--disable_metrics=tcp"), Sets::default());
        // Those that cAdvisor does not have are on when they are named.
        let theirs = Sets::all().without(Set::Volume).without(Set::Bind);
        assert_eq!(sets("--disable_metrics=tcp --compat=cadvisor"), theirs.without(Set::Tcp));
        assert_eq!(sets("--disable_metrics= --compat=cadvisor"), theirs);
        assert_eq!(sets("--compat=cadvisor"), Sets::default().without(Set::Process));
    }

    #[test]
    fn node_exporters_other_collectors_are_ignored() {
        let options =
            ok("--collector.supervisord --collector.runit.servicedir=/etc/service --no-collector.ntp --log.level=warn");
        let want = ["--collector.supervisord", "--collector.runit.servicedir=/etc/service", "--no-collector.ntp"];
        assert_eq!(options.ignored, want);
        assert_eq!(options.log_level, LevelFilter::WARN);
    }

    #[test]
    fn mistakes_get_one_clear_line() {
        refused("--web.listen-adress=:1", "did you mean --web.listen-address?");
        refused("--collector.loadavgg", "did you mean --collector.loadavg?");
        refused("--collector.nonsense", "unknown flag --collector.nonsense");
        refused("--collectors.enabled=cpu", "use --collector.disable-defaults with --collector.NAME");
        refused("--web.config=tls.yml", "there is no flag --web.config any more: use --web.config.file");
        refused("--collector.netdev.ignored-devices=lo", "any more: use --collector.netdev.device-exclude");
        refused("--no-collector.gmond", "there is no flag --no-collector.gmond any more: Ganglia is no longer asked");
        refused("--collector.megacli.command", "any more: let storcli write a file for --collector.textfile.directory");
        refused("--http_auth_file=users", "any more: put basic_auth_users into the file of --web.config.file");
        refused("--help-man", "there is no flag --help-man any more: use --help");
        refused("--auth.user=me", "any more: put basic_auth_users into the file of --web.config.file");
        refused("--web.max-requests=many", "--web.max-requests=many: ");
        refused("--web.max-requests", "--web.max-requests");
        refused("--log.level=loud", "--log.level=loud: one of debug, info, warn, error");
        refused("--housekeeping_interval=1ms", "--housekeeping_interval=1ms: expected a duration from 100ms");
        refused("--storage_duration=long", "--storage_duration=long: expected a duration from 100ms");
        refused("--container.stopped-for=long", "--container.stopped-for=long: expected a duration such as 10m");
        refused("--docker_only=maybe", "--docker_only=maybe: expected true or false");
        refused("--disable_metrics=nonsense", "unknown set of metrics \"nonsense\"");
        refused("--no-collector.container --web.container-listen-address=:0", "contradict each other");
        refused("--compat=node_exporter", "--compat=node_exporter: one of cadvisor");
        refused("--container.rename-label=tier=device", "--container.rename-label: \"tier\" cannot become \"device\"");
        refused("--container.series-limit=few", "--container.series-limit=few: ");
        refused("stray", "unexpected argument \"stray\"");
    }

    #[test]
    fn top_has_flags_of_its_own() {
        let top = |line: &str| run(line).map(|_| ()).unwrap_err();
        assert_eq!(top("top"), "top Cpu 2s");
        assert_eq!(top("top --once --sort=memory --interval=500ms --docker= --path.procfs=/p"), "top Memory 500ms");
        refused("top --sort=size", "--sort=size: one of cpu, memory, net, io");
        refused("top --interval=0s", "--interval=0s: expected a duration from 100ms");
        refused("top --collector.loadavg", "unknown flag --collector.loadavg");
        refused("--once", "unknown flag --once");
        assert!(top("top --help").contains("--filter"));
    }

    #[test]
    fn what_node_exporter_hides_is_taken() {
        let line = "--collector.diskstats.ignored-devices=x --collector.filesystem.ignored-mount-points=x \
             --collector.filesystem.ignored-fs-types=x --collector.netdev.device-blacklist=x \
             --collector.systemd.unit-blacklist=x";
        assert!(ok(line).ignored.is_empty());
        assert!(ok("--collector.netdev.device-whitelist=x --collector.systemd.unit-whitelist=x").ignored.is_empty());
    }

    #[test]
    fn the_web_is_as_told() {
        let options = ok("--web.config.file=web.yml --web.systemd-socket --web.enable-lifecycle");
        assert_eq!(options.settings.web_config, Some("web.yml".into()));
        assert!(options.systemd_socket && options.settings.lifecycle);
        let options = ok("--web.config.file= --no-web.systemd-socket");
        assert_eq!(options.settings.web_config, None);
        assert!(!options.systemd_socket && !options.settings.lifecycle);
    }

    #[test]
    fn help_and_version_are_printed() {
        let help = run("--help").map(|_| ()).unwrap_err();
        assert!(help.contains("--web.container-listen-address") && help.contains("--collector.loadavg"), "{help}");
        assert!(!help.contains("--no-collector.loadavg") && !help.contains("storage_driver"), "{help}");
        assert!(run("--version").map(|_| ()).unwrap_err().starts_with("atalaia-agent, version 0."));
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]

        /// Any words, and any value of any flag: taken, or refused in one line.
        #[test]
        fn never_panics(words: Vec<String>, choice: proptest::sample::Index, value: String, verb: bool) {
            let command = if verb { flags::top() } else { flags::command() };
            let all: Vec<_> = command.get_arguments().filter_map(|argument| argument.get_long()).collect();
            let flag = format!("--{}={value}", choice.get(&all));
            let top = if verb { vec!["top".to_owned()] } else { Vec::new() };
            for words in [words, [top, vec![flag]].concat()] {
                if let Err(error) = parse(words.iter().map(OsString::from)) {
                    assert!(!error.to_string().is_empty(), "{words:?}");
                }
            }
        }
    }
}

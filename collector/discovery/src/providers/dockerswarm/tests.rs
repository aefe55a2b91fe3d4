//! Answers as engines give them, and the targets that they mean.

use collector_model::Labels;

use super::tasks::Surroundings;
use super::{PREFIX, nodes, services, tasks};
use crate::engine::Networks;
use crate::meta;

const NETWORKS: &str = r#"[
  {"Name": "ingress", "Id": "net0", "Scope": "swarm", "Driver": "overlay", "Internal": false, "Ingress": true,
   "Containers": null, "Labels": null},
  {"Name": "backend", "Id": "net1", "Scope": "swarm", "Driver": "overlay", "Internal": true, "Ingress": false,
   "Labels": {"com.example.tier": "back"}},
  {"Name": "host", "Id": "861d", "Scope": "local", "Driver": "host", "Labels": {}}
]"#;

const INGRESS: &str = r#"network_id="net0", network_ingress="true", network_internal="false", network_name="ingress",
  network_scope="swarm""#;
const BACKEND: &str = r#"network_id="net1", network_ingress="false", network_internal="true",
  network_label_com_example_tier="back", network_name="backend", network_scope="swarm""#;

/// A word in capitals stands for the labels above.
#[track_caller]
fn check(targets: &[Labels], want: &[&str]) {
    let all = |text: &&str| {
        let long = [("INGRESS", INGRESS), ("BACKEND", BACKEND), ("WEB", WEB), ("AGENT", AGENT), ("ON_N3", ON_N3)];
        long.iter().fold((*text).to_owned(), |text, (short, long)| text.replace(short, long))
    };
    meta::check(targets, PREFIX, &want.iter().map(all).collect::<Vec<_>>());
}

#[track_caller]
fn check_services(answer: &str, want: &[&str]) {
    let networks = Networks::of_json(NETWORKS, PREFIX);
    check(&services::targets(&serde_json::from_str::<Vec<_>>(answer).unwrap(), &networks, 80), want);
}

#[test]
fn a_service_is_a_target_for_each_virtual_address_and_tcp_port() {
    let answer = r#"[{"ID": "s1", "Version": {"Index": 19},
      "Spec": {"Name": "shop_web", "Labels": {"com.docker.stack.namespace": "shop", "prometheus-job": "web"},
        "TaskTemplate": {"ContainerSpec": {"Image": "shop/web:3@sha256:ab", "Hostname": "web-{{.Task.Slot}}"},
          "Networks": [{"Target": "net1"}]},
        "Mode": {"Replicated": {"Replicas": 2}}, "EndpointSpec": {"Mode": "vip"}},
      "Endpoint": {"Spec": {"Mode": "vip"},
        "Ports": [
          {"Name": "metrics", "Protocol": "tcp", "TargetPort": 9100, "PublishedPort": 19100, "PublishMode": "ingress"},
          {"Protocol": "udp", "TargetPort": 53, "PublishedPort": 53, "PublishMode": "ingress"},
          {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host"}],
        "VirtualIPs": [{"NetworkID": "net0", "Addr": "10.0.0.3/24"}, {"NetworkID": "net1", "Addr": "fd00::3/64"}]},
      "UpdateStatus": {"State": "completed", "Message": "update completed"}}]"#;
    let service = r#"service_id="s1", service_name="shop_web", service_mode="replicated",
      service_label_com_docker_stack_namespace="shop", service_label_prometheus_job="web",
      service_task_container_image="shop/web:3@sha256:ab", service_task_container_hostname="web-{{.Task.Slot}}",
      service_updating_status="completed""#;
    let (metrics, web) = (
        r#"service_endpoint_port_name="metrics", service_endpoint_port_publish_mode="ingress""#,
        r#"service_endpoint_port_publish_mode="host""#,
    );
    check_services(
        answer,
        &[
            &format!("10.0.0.3:19100{{{service}, {metrics}, INGRESS}}"),
            &format!("10.0.0.3:8080{{{service}, {web}, INGRESS}}"),
            &format!("[fd00::3]:19100{{{service}, {metrics}, BACKEND}}"),
            &format!("[fd00::3]:8080{{{service}, {web}, BACKEND}}"),
        ],
    );
}

#[test]
fn a_service_without_tcp_ports_has_the_port_of_the_configuration() {
    let answer = r#"[{"ID": "s2",
      "Spec": {"Name": "dns", "TaskTemplate": {"ContainerSpec": {"Image": "dns:1"}}, "Mode": {"Global": {}}},
      "Endpoint": {"Ports": [{"Protocol": "udp", "TargetPort": 53, "PublishedPort": 53, "PublishMode": "ingress"}],
        "VirtualIPs": [{"NetworkID": "gone", "Addr": "10.0.0.9/24"}]}}]"#;
    let want = r#"10.0.0.9:80{service_id="s2", service_name="dns", service_mode="global",
      service_task_container_image="dns:1"}"#;
    check_services(answer, &[want]);
}

/// A plugin has no container, a job no mode, a service on the machine's own network no address, one with
/// `endpoint_mode: dnsrr` no virtual one.
#[test]
fn what_services_lack_is_left_out() {
    let on_host =
        r#"{"ID": "h", "Spec": {"Name": "h", "Labels": {}}, "Endpoint": {"VirtualIPs": [{"NetworkID": "861d"}]}}"#;
    let dnsrr = r#"{"ID": "d", "Spec": {"Name": "d", "Labels": null}, "Endpoint": {"Spec": {"Mode": "dnsrr"}}}"#;
    let plugin = r#"{"ID": "p", "Spec": {"Name": "p", "TaskTemplate": {"PluginSpec": {"Name": "x"}, "Runtime": "plugin"},
      "Mode": {"ReplicatedJob": {}}}, "Endpoint": {"Ports": null, "VirtualIPs": [{"NetworkID": "net1", "Addr": "10.0.1.4/24"}]}}"#;
    let bare = r#"{"ID": "b"}"#;
    check_services(
        &format!("[{on_host}, {dnsrr}, {plugin}, {bare}]"),
        &[r#"10.0.1.4:80{service_id="p", service_name="p", BACKEND}"#],
    );
    check_services("[]", &[]);
}

const NODES: &str = r#"[
  {"ID": "n1", "Spec": {"Role": "manager", "Availability": "active", "Labels": {"rack/nr": "7"}},
   "Description": {"Hostname": "vm1", "Platform": {"Architecture": "x86_64", "OS": "linux"},
     "Resources": {"NanoCPUs": 2000000000}, "Engine": {"EngineVersion": "20.10.24", "Plugins": []}},
   "Status": {"State": "ready", "Addr": "192.0.2.1"},
   "ManagerStatus": {"Leader": true, "Reachability": "reachable", "Addr": "192.0.2.1:2377"}},
  {"ID": "n2", "Spec": {"Role": "manager", "Availability": "drain", "Labels": null},
   "Description": {"Hostname": "vm2", "Platform": {"Architecture": "aarch64", "OS": "linux"},
     "Engine": {"EngineVersion": "24.0.7"}},
   "Status": {"State": "down", "Message": "heartbeat failure", "Addr": "2001:db8::2"},
   "ManagerStatus": {"Reachability": "unreachable", "Addr": "[2001:db8::2]:2377"}},
  {"ID": "n3", "Spec": {"Role": "worker", "Availability": "active"},
   "Description": {"Hostname": "vm3", "Platform": {}, "Engine": {}}, "Status": {"State": "unknown", "Addr": "192.0.2.3"}}
]"#;

#[test]
fn a_node_is_a_target_with_the_port_of_the_configuration() {
    check(
        &nodes::targets(&serde_json::from_str::<Vec<_>>(NODES).unwrap(), 9323),
        &[
            r#"192.0.2.1:9323{node_id="n1", node_role="manager", node_availability="active", node_hostname="vm1",
              node_platform_architecture="x86_64", node_platform_os="linux", node_engine_version="20.10.24",
              node_status="ready", node_address="192.0.2.1", node_label_rack_nr="7", node_manager_leader="true",
              node_manager_reachability="reachable", node_manager_address="192.0.2.1:2377"}"#,
            r#"[2001:db8::2]:9323{node_id="n2", node_role="manager", node_availability="drain", node_hostname="vm2",
              node_platform_architecture="aarch64", node_platform_os="linux", node_engine_version="24.0.7",
              node_status="down", node_address="2001:db8::2", node_manager_leader="false",
              node_manager_reachability="unreachable", node_manager_address="[2001:db8::2]:2377"}"#,
            r#"192.0.2.3:9323{node_id="n3", node_role="worker", node_availability="active", node_hostname="vm3",
              node_status="unknown", node_address="192.0.2.3"}"#,
        ],
    );
}

const SERVICES: &str = r#"[
  {"ID": "s1", "Spec": {"Name": "web", "Labels": {"job": "web"}, "Mode": {"Replicated": {"Replicas": 1}}},
   "Endpoint": {"Ports": [
     {"Name": "x", "Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "ingress"},
     {"Protocol": "udp", "TargetPort": 53, "PublishedPort": 53, "PublishMode": "ingress"}]}},
  {"ID": "s2", "Spec": {"Name": "agent", "Mode": {"Global": {}}}, "Endpoint": {}}
]"#;

const WEB: &str = r#"service_id="s1", service_name="web", service_mode="replicated", service_label_job="web""#;
const AGENT: &str = r#"service_id="s2", service_name="agent", service_mode="global""#;
const ON_N3: &str = r#"node_id="n3", node_role="worker", node_availability="active", node_hostname="vm3",
  node_status="unknown", node_address="192.0.2.3""#;

#[track_caller]
fn check_tasks(answer: &str, want: &[&str]) {
    let services: Vec<_> = serde_json::from_str(SERVICES).unwrap();
    let nodes: Vec<_> = serde_json::from_str(NODES).unwrap();
    let around = Surroundings::of(&services, &nodes, Networks::of_json(NETWORKS, PREFIX));
    check(&tasks::targets(&serde_json::from_str::<Vec<_>>(answer).unwrap(), &around, 80), want);
}

#[test]
fn a_task_is_a_target_for_each_address_and_port_of_its_service() {
    let answer = r#"[{"ID": "t1", "ServiceID": "s1", "NodeID": "n3", "Slot": 2, "DesiredState": "running", "Labels": {},
      "Spec": {"ContainerSpec": {"Image": "web:1", "Labels": {"c.label": "c"}}},
      "Status": {"State": "starting", "Message": "starting", "PortStatus": {},
        "ContainerStatus": {"ContainerID": "abc", "PID": 7, "ExitCode": 0}},
      "NetworksAttachments": [
        {"Network": {"ID": "net0", "Spec": {"Name": "ingress"}}, "Addresses": ["10.0.0.5/24"]},
        {"Network": {"ID": "net1"}, "Addresses": ["10.0.1.5/24", "fd00::5/64"]},
        {"Network": {"ID": "861d"}}, {"Network": {"ID": "net1"}, "Addresses": null}]}]"#;
    let task = r#"task_id="t1", task_slot="2", task_desired_state="running", task_state="starting",
      task_container_id="abc", container_label_c_label="c", task_port_publish_mode="ingress", WEB, ON_N3"#;
    check_tasks(
        answer,
        &[
            &format!("10.0.0.5:8080{{{task}, INGRESS}}"),
            &format!("10.0.1.5:8080{{{task}, BACKEND}}"),
            &format!("[fd00::5]:8080{{{task}, BACKEND}}"),
        ],
    );
}

#[test]
fn a_port_on_the_machine_is_a_target_there() {
    let answer = r#"[{"ID": "t2", "ServiceID": "s2", "NodeID": "n3", "DesiredState": "running",
      "Spec": {"ContainerSpec": {"Image": "agent:1"}},
      "Status": {"State": "running", "ContainerStatus": {"ContainerID": "def"}, "PortStatus": {"Ports": [
        {"Protocol": "tcp", "TargetPort": 9100, "PublishedPort": 32768, "PublishMode": "host"},
        {"Protocol": "udp", "TargetPort": 53, "PublishedPort": 32769, "PublishMode": "host"}]}},
      "NetworksAttachments": [{"Network": {"ID": "net1"}, "Addresses": ["10.0.1.6/24"]}]}]"#;
    let task = r#"task_id="t2", task_slot="0", task_desired_state="running", task_state="running",
      task_container_id="def", AGENT, ON_N3"#;
    check_tasks(
        answer,
        &[
            &format!(r#"192.0.2.3:32768{{{task}, task_port_publish_mode="host"}}"#),
            // The service publishes nothing, so that the port of the configuration is left in its network.
            &format!("10.0.1.6:80{{{task}, BACKEND}}"),
        ],
    );
}

/// Before it is placed a task has no node and no container, afterwards its service may be gone; a plugin has no
/// container at all.
#[test]
fn what_tasks_lack_is_left_out() {
    let placed_nowhere = r#"{"ID": "t3", "ServiceID": "gone", "Slot": 1, "DesiredState": "running",
      "Spec": {"PluginSpec": {}}, "Status": {"State": "pending"},
      "NetworksAttachments": [{"Network": {"ID": "unknown"}, "Addresses": ["10.0.1.7/24", "not an address"]}]}"#;
    let without_network = r#"{"ID": "t4", "ServiceID": "s1", "NodeID": "n3", "Slot": 1, "DesiredState": "shutdown",
      "Status": {"State": "failed", "Err": "task: non-zero exit (1)", "PortStatus": null}, "NetworksAttachments": null}"#;
    check_tasks(
        &format!("[{placed_nowhere}, {without_network}]"),
        &[r#"10.0.1.7:80{task_id="t3", task_slot="1", task_desired_state="running", task_state="pending"}"#],
    );
}

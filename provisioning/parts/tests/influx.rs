//! InfluxDB starts, pauses, and comes back with its points.
#![allow(clippy::unwrap_used)]

use provisioning_parts::{Influx, request};

#[test]
fn it_keeps_its_points_through_a_pause() {
    let mut influx = Influx::start();
    let written = request("POST", &influx.address, "/write?db=prometheus&precision=ms", "load value=1.5 1700000000000");
    assert_eq!(written.unwrap().0, 204);
    influx.pause();
    assert!(influx.query("SHOW MEASUREMENTS").is_err());
    influx.resume();
    assert_eq!(influx.measurements(), ["load"]);
    assert_eq!(influx.points("load"), [(1_700_000_000_000, 1.5)]);
}

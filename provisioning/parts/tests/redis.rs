//! Redis starts, dies, and comes back with what it had written.

use provisioning_parts::Redis;

#[test]
fn a_durable_one_keeps_its_data_through_kill_and_restart() {
    let mut redis = Redis::durable();
    assert_eq!(redis.command(&["RPUSH", "votes", "a", "b"]), "2");
    redis.kill();
    assert!(redis.try_command(&["PING"]).is_err());
    redis.restart();
    assert_eq!(redis.command(&["LRANGE", "votes", "0", "-1"]), "a\nb");
}

#[test]
fn the_plain_one_forgets() {
    let mut redis = Redis::start();
    redis.command(&["SET", "key", "value"]);
    redis.restart();
    assert_eq!(redis.command(&["EXISTS", "key"]), "0");
}

#[test]
fn a_stopped_one_hangs_and_goes_on() {
    let redis = Redis::start();
    redis.stop();
    assert!(redis.try_command(&["PING"]).is_err());
    redis.cont();
    assert_eq!(redis.command(&["PING"]), "PONG");
}

#[test]
#[should_panic(expected = "wrong number of arguments")]
fn an_error_of_redis_fails_the_test() {
    Redis::start().command(&["GET"]);
}

//! The real parts that tests start and stop: processes, Redis, PostgreSQL, InfluxDB, a browser, Docker.

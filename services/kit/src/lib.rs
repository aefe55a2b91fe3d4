//! What every service has: settings, log, HTTP with limits and RED metrics, health, shutdown, connections by name.

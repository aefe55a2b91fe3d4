//! The container side of the agent: cgroups, runtimes and their statistics, with cAdvisor's names.

"""A worker process: correlates the events of one shard and enriches its alarms."""

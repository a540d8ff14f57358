"""What several steps ask the account, or this home: they gather the answers that the pure rooms
(`quotas`, `costs`, `durations`, `survey`) judge."""

"""The user's files: scenario and manifests, decoded and checked. Must not decide anything: that is the planner's."""

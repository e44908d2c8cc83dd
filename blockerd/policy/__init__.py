"""What is blocked, and why: names, rules, matching, schedules and the one decision. Pure: no socket, file or clock."""

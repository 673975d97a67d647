"""What a schedule is and when it fires, as values. This package does no I/O and reads no clock."""

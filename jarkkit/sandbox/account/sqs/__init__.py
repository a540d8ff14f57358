"""Amazon SQS: extensions of moto for long polls that do not block other calls."""

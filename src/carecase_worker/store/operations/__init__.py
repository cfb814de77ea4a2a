"""Operations of the job store: their scripts, their arguments and their replies, as values."""

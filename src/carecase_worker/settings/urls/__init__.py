"""URLs among the settings: one grammar for each kind of URL, checked before anything is opened."""

"""The app `blog` of the tutorial."""

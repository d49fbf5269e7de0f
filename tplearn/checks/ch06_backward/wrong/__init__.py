"""Wrong answers to the exercises of chapter 06, and what they show."""

"""Wrong answers to the exercises of chapter 05, and what they show."""

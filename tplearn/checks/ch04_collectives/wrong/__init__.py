"""Wrong answers to the exercises of chapter 04, and what they show."""

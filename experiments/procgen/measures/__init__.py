"""What is measured of trained policies: robustness, bounds, moments, features, and their page."""

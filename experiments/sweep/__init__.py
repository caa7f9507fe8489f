"""Many runs on Ray: games x algorithms x seeds, each resumable anywhere, none computed twice."""

"""Converting correlation directives of OSSIM (AlienVault), which are XML, into ours."""

"""The rigged body: kinematics, DensePose charts and UV tables, rasteriser, surface correspondence."""

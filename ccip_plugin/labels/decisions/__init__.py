"""User labels and rejections of detections, kept with their boxes: detections that replace others take them over."""

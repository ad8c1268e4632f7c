// Shows what was measured where the pointer is. The page is whole without it.
(function () {
  var chart = document.getElementById("chart");
  var pointer = document.getElementById("pointer");
  var readout = document.getElementById("readout");
  var readouts = JSON.parse(document.getElementById("readouts").textContent);
  if (!readouts.length) return;
  chart.addEventListener("pointermove", function (event) {
    var box = chart.getBoundingClientRect();
    var x = (event.clientX - box.left) * chart.viewBox.baseVal.width / box.width;
    var nearest = readouts.reduce(function (best, one) {
      return Math.abs(one[0] - x) < Math.abs(best[0] - x) ? one : best;
    });
    pointer.setAttribute("x1", nearest[0]);
    pointer.setAttribute("x2", nearest[0]);
    pointer.setAttribute("visibility", "visible");
    readout.textContent = nearest[1];
    readout.hidden = false;
  });
  chart.addEventListener("pointerleave", function () {
    pointer.setAttribute("visibility", "hidden");
    readout.hidden = true;
  });
})();

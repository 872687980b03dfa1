(function () {
  "use strict";
  // A page that nobody writes any more looks as green as it did: it must say how old it is.
  var banner = document.getElementById("stale");
  function look() {
    var hours = (Date.now() - Number(banner.dataset.made)) / 3600000;
    var age = hours < 48 ? Math.floor(hours) + " hours" : Math.floor(hours / 24) + " days";
    banner.hidden = Date.now() < Number(banner.dataset.until);
    banner.firstElementChild.textContent = "This page is " + age + " old: what it says may no longer be true.";
    document.body.classList.toggle("old", !banner.hidden);
  }
  look();
  setInterval(look, 60000);
})();
